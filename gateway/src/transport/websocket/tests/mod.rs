//! `graphql-transport-ws` on a real port: messages, close codes, bad frames, shutdown.

mod autobahn;
mod frames;
mod persisted;

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::{config::Config, fake::Gateway};

/// A socket, and the reason of its close.
struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>, String);

const INIT: &str = r#"{"type":"connection_init"}"#;
const HANDSHAKE: &str =
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const ACK: &str = r#"{"type":"connection_ack"}"#;

impl Client {
    async fn connect(gateway: &Gateway, protocol: &str, headers: &[(&'static str, &'static str)]) -> Self {
        let mut request = format!("ws://127.0.0.1:{}/graphql", gateway.port).into_client_request().unwrap();
        if !protocol.is_empty() {
            request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_str(protocol).unwrap());
        }
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_static(value));
        }
        let stream = TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(request, MaybeTlsStream::Plain(stream)).await.unwrap();
        Self(socket, String::new())
    }

    fn stream(&mut self) -> &mut TcpStream {
        let MaybeTlsStream::Plain(stream) = self.0.get_mut() else { unreachable!() };
        stream
    }

    async fn open(gateway: &Gateway) -> Self {
        Self::connect(gateway, super::SUBPROTOCOL, &[]).await
    }

    async fn ready(gateway: &Gateway) -> Self {
        let mut client = Self::connect(gateway, super::SUBPROTOCOL, &[("authorization", "Bearer good")]).await;
        client.send(INIT).await;
        client.expect(ACK).await;
        client
    }

    async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    async fn subscribe(&mut self, id: &str, query: &str) {
        let message = serde_json::json!({"type": "subscribe", "id": id, "payload": {"query": query}});
        self.send(&message.to_string()).await;
    }

    /// The next text, or the close code as `close N`.
    async fn next(&mut self) -> String {
        loop {
            match timeout(Duration::from_hours(1), self.0.next()).await.expect("nothing came") {
                Some(Ok(Message::Text(text))) => return text.to_string(),
                Some(Ok(Message::Close(frame))) => {
                    self.1 = frame.as_ref().map_or_else(String::new, |frame| frame.reason.to_string());
                    return frame
                        .map_or_else(|| "close".to_owned(), |frame| format!("close {}", u16::from(frame.code)));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return "end".to_owned(),
            }
        }
    }

    async fn expect(&mut self, expected: &str) {
        let got = self.next().await;
        assert!(got.contains(expected), "expected {expected}, got {got}");
    }
}

async fn gateway() -> Gateway {
    Gateway::start(|_| {}).await
}

#[tokio::test]
async fn subscriptions_queries_and_mutations_run() {
    let gateway = gateway().await;
    let mut client = Client::ready(&gateway).await;
    client.subscribe("s", "subscription {count}").await;
    for number in 1..=3 {
        client.expect(&format!(r#"{{"id":"s","type":"next","payload":{{"data":{{"count":{number}}}}}}}"#)).await;
    }
    client.expect(r#"{"id":"s","type":"complete"}"#).await;
    for (query, expected) in [("{hello}", r#"{"hello":"hello "}"#), ("mutation {change}", r#"{"change":true}"#)] {
        client.subscribe("q", query).await;
        client.expect(expected).await;
        client.expect(r#"{"id":"q","type":"complete"}"#).await;
    }
}

#[tokio::test]
async fn refused_operations_get_an_error_and_their_id_back() {
    let gateway = gateway().await;
    let mut client = Client::ready(&gateway).await;
    for (query, code) in [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{unknown}", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription {unknown}", "GRAPHQL_VALIDATION_FAILED"),
        (&"{a".repeat(1_000), "OPERATION_TOO_COMPLEX"),
    ] {
        client.subscribe("1", query).await;
        let message: serde_json::Value = serde_json::from_str(&client.next().await).unwrap();
        assert_eq!(message["type"], "error");
        assert_eq!(message["payload"][0]["extensions"]["code"], code, "{message}");
    }
}

#[tokio::test]
async fn an_interrupted_subscription_ends_with_an_error_and_leaves_the_others_alone() {
    let gateway = gateway().await;
    let mut client = Client::ready(&gateway).await;
    client.subscribe("i", "subscription { interrupted }").await;
    client.expect(r#"{"id":"i","type":"next""#).await;
    let told = client.next().await;
    assert!(told.starts_with(r#"{"id":"i","type":"error","payload":[{"#), "{told}");
    for expected in ["SERVICE_UNAVAILABLE", "retryAfterMs", "requestId"] {
        assert!(told.contains(expected), "{told}");
    }
    client.subscribe("i", "{hello}").await;
    client.expect(r#"{"hello":"hello "}"#).await;
}

#[tokio::test]
async fn a_panic_ends_its_operation_only() {
    let gateway = gateway().await;
    let mut client = Client::ready(&gateway).await;
    client.subscribe("other", "subscription {forever}").await;
    client.expect("next").await;
    client.subscribe("1", "subscription {panics}").await;
    client.expect("INTERNAL_SERVER_ERROR").await;
    client.expect(r#"{"id":"1","type":"complete"}"#).await;
    client.subscribe("1", "{panics}").await;
    client.expect("INTERNAL_SERVER_ERROR").await;
    client.subscribe("1", "subscription {panicsAtOnce}").await;
    client.expect("INTERNAL_SERVER_ERROR").await;
    client.subscribe("1", "{hello}").await;
    client.expect("hello").await;
}

#[tokio::test]
async fn the_client_can_stop_an_operation_and_use_its_id_again() {
    let gateway = gateway().await;
    let mut client = Client::ready(&gateway).await;
    for _ in 0..3 {
        client.subscribe("1", "subscription {forever}").await;
        client.expect(r#""count":0"#).await;
        client.send(r#"{"type":"complete","id":"1"}"#).await;
    }
    client.send(r#"{"type":"ping","payload":{"a":1}}"#).await;
    client.expect(r#"{"type":"pong","payload":{"a":1}}"#).await;
    client.subscribe("1", "subscription {forever}").await;
    client.expect(r#""count":0"#).await;
    client.subscribe("1", "subscription {forever}").await;
    client.expect("close 4409").await;
}

#[tokio::test]
async fn mistakes_close_with_their_code_and_leave_others_alone() {
    let gateway = gateway().await;
    let mut other = Client::ready(&gateway).await;
    let too_big = format!("\"{}\"", "x".repeat(70_000));
    for (messages, expected) in [
        (vec![r#"{"type":"subscribe","id":"1","payload":{"query":"{hello}"}}"#], "close 4401"),
        (vec!["{"], "close 4400"),
        (vec![INIT, r#"{"type":"next"}"#], "close 4400"),
        (vec![INIT, INIT], "close 4429"),
        (vec![r#"{"type":"connection_init","payload":{"authorization":"Bearer bad"}}"#], "close 4403"),
        (vec![&too_big], "close 1009"),
    ] {
        let mut client = Client::open(&gateway).await;
        for message in &messages {
            client.send(message).await;
        }
        let mut got = client.next().await;
        if got == ACK {
            got = client.next().await;
        }
        assert_eq!(got, expected, "{:?}", messages.last().map(|message| message.chars().take(60).collect::<String>()));
    }
    let strict = Gateway::asking_for_keys().await;
    let mut client = Client::open(&strict).await;
    client.send(r#"{"type":"connection_init","payload":{"authorization":"bad"}}"#).await;
    client.expect("close 4403").await;
    let mut client = Client::ready(&gateway).await;
    client.0.send(Message::binary(vec![0xff, 0xfe])).await.unwrap();
    client.expect("close 4400").await;
    other.subscribe("1", "{hello}").await;
    other.expect("hello").await;
}

#[tokio::test]
async fn frames_without_a_mask_or_too_long_close_with_their_code() {
    let gateway = gateway().await;
    for (what, bytes, expected) in [
        ("no mask", &[0x81, 0x02, 0x7b, 0x7d][..], "close 1002"),
        ("reserved bits and an unknown opcode", &[0xff, 0x80, 0, 0, 0, 0], "close 1002"),
        ("2^62 bytes announced", &[0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], "close 1009"),
        ("a megabyte announced", &[0x81, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 1, 2, 3, 4], "close 1009"),
    ] {
        let mut client = Client::ready(&gateway).await;
        client.stream().write_all(bytes).await.unwrap();
        assert_eq!(client.next().await, expected, "{what}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_frames_are_told_so_and_end_the_connection_only() {
    let gateway = gateway().await;
    for (bytes, expected) in [
        (&[0xff; 64][..], "close 1002"),
        (&[0x81, 0x01, b'a'][..], "close 1002"),
        (&[0x81, 0x84, 0, 0, 0, 0, 0xff, 0xfe, 0xfd, 0xfc][..], "close 1007"),
        (&[0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0][..], "close 1009"),
        // A frame that never comes as a whole.
        (&[0x81, 0xfe][..], "end"),
    ] {
        let mut client = Client::open(&gateway).await;
        let stream = client.stream();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(client.next().await, expected, "{bytes:02x?}");
    }
    Client::ready(&gateway).await;
}

#[tokio::test]
async fn a_close_of_the_client_is_answered() {
    let gateway = gateway().await;
    let mut client = Client::ready(&gateway).await;
    client.subscribe("1", "subscription {forever}").await;
    client.expect("next").await;
    client.0.close(None).await.unwrap();
    client.expect("close").await;
}

#[tokio::test]
async fn another_subprotocol_is_refused() {
    let gateway = gateway().await;
    for protocol in ["", "graphql-ws"] {
        let mut request = format!("ws://127.0.0.1:{}/graphql", gateway.port).into_client_request().unwrap();
        if !protocol.is_empty() {
            request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_str(protocol).unwrap());
        }
        match connect_async(request).await {
            Ok((socket, _)) => Client(socket, String::new()).expect("close 4406").await,
            // A client that insists on its protocol fails the handshake by itself.
            Err(error) => assert!(error.to_string().contains("ubprotocol"), "{error}"),
        }
    }
}

#[tokio::test]
async fn pages_of_other_origins_do_not_get_a_socket() {
    let gateway = gateway().await;
    let mut request = format!("ws://127.0.0.1:{}/graphql", gateway.port).into_client_request().unwrap();
    request.headers_mut().insert("origin", HeaderValue::from_static("https://evil.example"));
    let error = connect_async(request).await.unwrap_err().to_string();
    assert!(error.contains("403"), "{error}");
    Client::connect(&gateway, super::SUBPROTOCOL, &[("origin", "http://localhost:4000")]).await;
}

#[tokio::test]
async fn the_header_of_the_upgrade_is_a_credential_too() {
    let gateway = gateway().await;
    let mut client = Client::connect(&gateway, super::SUBPROTOCOL, &[("authorization", "Bearer bad")]).await;
    client.send(INIT).await;
    client.expect("close 4403").await;
}

#[tokio::test]
async fn a_socket_without_init_is_closed() {
    let gateway = Gateway::start(|config: &mut Config| config.live.init_timeout_milliseconds = 20).await;
    Client::open(&gateway).await.expect("close 4408").await;
    let mut client = Client::ready(&gateway).await;
    tokio::time::sleep(Duration::from_millis(40)).await;
    client.subscribe("1", "{hello}").await;
    client.expect("hello").await;
}

#[tokio::test]
async fn quiet_sockets_are_pinged_with_the_least_position_of_their_subscriptions() {
    let gateway = Gateway::start(|config: &mut Config| config.live.ping_seconds = 1).await;
    let mut client = Client::ready(&gateway).await;
    client.expect(r#"{"type":"ping"}"#).await;
    client.subscribe("one", "subscription {quiet_7}").await;
    client.expect(r#"{"type":"ping","payload":{"cursor":"7"}}"#).await;
    client.send(r#"{"type":"pong","payload":{"cursor":"7"}}"#).await;
    client.subscribe("two", "subscription {quiet_5}").await;
    client.expect(r#"{"type":"ping"}"#).await;
    client.send(r#"{"type":"complete","id":"one"}"#).await;
    client.expect(r#"{"type":"ping","payload":{"cursor":"5"}}"#).await;
}

#[tokio::test]
async fn a_ping_is_not_ahead_of_what_waits_for_a_slow_reader() {
    let gateway = Gateway::start(|config: &mut Config| config.live.ping_seconds = 1).await;
    let mut client = Client::ready(&gateway).await;
    client.subscribe("1", "subscription {flood}").await;
    let mut frames = 0;
    loop {
        let message = client.next().await;
        if let Ok(ping) = serde_json::from_str::<serde_json::Value>(&message)
            && ping["type"] == "ping"
        {
            // A frame, then its mark: at most the mark of the last frame waits to be heard of.
            let Some(told) = ping["payload"]["cursor"].as_str() else { continue };
            let told: i32 = told.parse().unwrap();
            assert!(told == frames || told == frames - 1, "{told} after {frames}");
            return;
        }
        frames += 1;
    }
}

#[tokio::test]
async fn one_socket_runs_only_so_many_operations() {
    let gateway = Gateway::start(|config: &mut Config| config.live.max_operations_per_socket = 2).await;
    let mut client = Client::ready(&gateway).await;
    for id in ["1", "2"] {
        client.subscribe(id, "subscription {forever}").await;
        client.expect("next").await;
    }
    client.subscribe("3", "subscription {forever}").await;
    client.expect("RATE_LIMITED").await;
    client.send(r#"{"type":"complete","id":"1"}"#).await;
    client.subscribe("3", "subscription {forever}").await;
    client.expect("next").await;
}

/// The answer to a request that asks for an upgrade, as text.
async fn upgrade(gateway: &Gateway, headers: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap();
    let request = format!("GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close, Upgrade\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn only_so_many_sockets_are_open() {
    let gateway = Gateway::start(|config: &mut Config| config.live.max_sockets = 1).await;
    let client = Client::ready(&gateway).await;
    let answer = upgrade(&gateway, HANDSHAKE).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 5"), "{answer}");
    assert!(answer.contains("SERVICE_UNAVAILABLE") && answer.contains("requestId"), "{answer}");
    let metrics = gateway.app.metrics.encode();
    assert!(metrics.contains("mullion_live_limit{limit=\"sockets\"} 1\n"), "{metrics}");
    assert!(metrics.contains("mullion_live_limit_hits_total{limit=\"sockets\"} 1\n"), "{metrics}");
    drop(client);
    while gateway.app.connections.admission.open() > 0 {
        tokio::task::yield_now().await;
    }
    Client::ready(&gateway).await;
}

#[tokio::test]
async fn a_broken_handshake_is_refused() {
    let gateway = gateway().await;
    for (headers, expected) in [
        ("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", "400"),
        ("Upgrade: h2c\r\n", "400"),
        ("Upgrade: websocket\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "426"),
    ] {
        let answer = upgrade(&gateway, headers).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{answer}");
    }
}

#[tokio::test]
async fn a_tenant_has_only_so_many_sockets() {
    let gateway = Gateway::start(|config: &mut Config| config.live.max_sockets_per_tenant = 1).await;
    let mut first = Client::ready(&gateway).await;
    let mut second = Client::open(&gateway).await;
    second.send(INIT).await;
    // A code after which clients of the protocol come back.
    second.expect("close 1013").await;
    first.subscribe("1", "{hello}").await;
    first.expect("hello").await;
}

#[tokio::test]
async fn a_client_sends_only_so_many_messages() {
    let gateway = Gateway::start(|config: &mut Config| config.live.max_messages_per_second = 1).await;
    let mut client = Client::ready(&gateway).await;
    for _ in 0..6 {
        client.send(r#"{"type":"ping"}"#).await;
    }
    let mut got = client.next().await;
    while got.contains("pong") {
        got = client.next().await;
    }
    assert_eq!(got, "close 4429");
    assert!(client.1.contains("1 a second"), "{}", client.1);
}

#[tokio::test]
async fn replies_that_are_not_read_close_with_their_code() {
    // Before the client has said who it is, with less.
    for (known, most) in [(true, 200_000), (false, 100_000_000)] {
        let gateway = Gateway::start(|config: &mut Config| {
            config.live.max_queued_bytes = most;
            config.live.max_messages_per_second = 1_000_000;
            config.live.init_timeout_milliseconds = 600_000;
        })
        .await;
        let mut client = if known { Client::ready(&gateway).await } else { Client::open(&gateway).await };
        let ping = serde_json::json!({"type": "ping", "payload": {"a": "x".repeat(60_000)}}).to_string();
        // Until the buffers of the system are full, too; then the server says no more but goodbye.
        let hits =
            || gateway.app.metrics.encode().contains("mullion_live_limit_hits_total{limit=\"queued_bytes\"} 1\n");
        while !hits() && client.0.send(Message::text(ping.clone())).await.is_ok() {}
        let mut got = client.next().await;
        while got.contains("pong") {
            got = client.next().await;
        }
        assert_eq!(got, "close 4413");
        assert!(client.1.contains("unread"), "{}", client.1);
    }
}

#[tokio::test]
async fn a_client_that_never_reads_delays_nobody_and_is_told_so() {
    let gateway = Gateway::start(|config: &mut Config| {
        config.live.ping_seconds = 1;
        config.live.max_messages_per_second = 1_000_000;
    })
    .await;
    let mut slow = Client::ready(&gateway).await;
    slow.subscribe("s", "subscription {flood}").await;
    let mut quick = Client::ready(&gateway).await;
    let waiting = || gateway.app.metrics.live.queued_bytes.get();
    let mut most = 0;
    while !gateway.app.metrics.encode().contains("mullion_live_limit_hits_total{limit=\"stalled\"} 1\n") {
        quick.subscribe("q", "subscription {count}").await;
        for expected in ["1}", "2}", "3}", "complete"] {
            let mut got = quick.next().await;
            if got.contains("ping") {
                quick.send(r#"{"type":"pong"}"#).await;
                got = quick.next().await;
            }
            assert!(got.contains(expected), "{got}");
        }
        most = most.max(waiting());
    }
    // Nothing more is taken for it than what was begun: 64 KiB, and the frame beyond.
    assert!(most > 0 && most < 64 * 1024 + 20_000, "{most}");
    let mut got = slow.next().await;
    while got.contains("next") || got.contains("ping") {
        got = slow.next().await;
    }
    assert_eq!(got, "close 4413");
    while waiting() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn shutdown_and_revocation_close_with_their_codes() {
    let first = gateway().await;
    let mut client = Client::ready(&first).await;
    client.subscribe("1", "subscription {forever}").await;
    client.expect("next").await;
    first.stand_in.revoked.cancel();
    client.expect("close 4403").await;
    let second = gateway().await;
    let mut client = Client::ready(&second).await;
    let mut waiting = Client::open(&second).await;
    second.app.shutdown.cancel();
    for client in [&mut client, &mut waiting] {
        client.expect("close 1001").await;
        let hint: serde_json::Value = serde_json::from_str(&client.1).unwrap();
        assert!(hint["retryAfterMs"].as_u64().unwrap() <= 500, "{hint}");
    }
    second.app.tracker.close();
    drop((client, waiting));
    timeout(Duration::from_secs(5), second.app.tracker.wait()).await.unwrap();
}
