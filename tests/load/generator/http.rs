//! A keep-alive HTTP connection that does as little as it can: ready bytes out, status and body in. It takes less of the processor
//! than a client library would, and that processor is the program's too.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const HEAD_END: &[u8] = b"\r\n\r\n";

/// A whole request: its head, ready to be written, and its body.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) head: Vec<u8>,
    pub(crate) body: Bytes,
}

impl Request {
    pub(crate) fn new(method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let length = body.len().to_string();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n");
        for (name, value) in headers.iter().chain(&[("content-length", length.as_str())]) {
            for part in [name, ": ", value, "\r\n"] {
                head.push_str(part);
            }
        }
        head.push_str("\r\n");
        Self { head: head.into_bytes(), body }
    }

    pub(crate) fn post(path: &str, body: impl Into<Bytes>) -> Self {
        Self::new("POST", path, &[("content-type", "application/json")], body)
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path, &[("authorization", "Bearer load")], Bytes::new())
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// One connection, one request at a time.
pub(crate) struct Connection {
    stream: TcpStream,
    sent: Vec<u8>,
    received: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("no connection to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, sent: Vec::new(), received: Vec::new() })
    }

    pub(crate) async fn ask(&mut self, request: &Request) -> anyhow::Result<Answer> {
        self.sent.clear();
        self.sent.extend_from_slice(&request.head);
        self.sent.extend_from_slice(&request.body);
        self.stream.write_all(&self.sent).await?;
        self.received.clear();
        let (status, begin, end) = loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                bail!("the connection was closed");
            }
            if let Some(head) = find(&self.received, HEAD_END) {
                let (status, length) = read_head(self.received.get(..head).unwrap_or_default())?;
                break (status, head + HEAD_END.len(), head + HEAD_END.len() + length);
            }
        };
        while self.received.len() < end {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                bail!("the connection was closed within an answer");
            }
        }
        Ok(Answer { status, body: self.received.get(begin..end).unwrap_or_default().to_vec() })
    }
}

/// Asks once, on a connection of its own; a 2xx answer's body.
pub(crate) async fn ask(address: SocketAddr, request: &Request) -> anyhow::Result<Vec<u8>> {
    let answer = Connection::open(address).await?.ask(request).await?;
    if !(200..300).contains(&answer.status) {
        bail!("status {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
    Ok(answer.body)
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

fn read_head(head: &[u8]) -> anyhow::Result<(u16, usize)> {
    let head = std::str::from_utf8(head)?;
    let status: u16 = head.get(9..12).context("no status")?.parse()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse())
    });
    match length {
        Some(length) => Ok((status, length?)),
        None if status == 204 => Ok((status, 0)),
        None => bail!("an answer without a length:\n{head}"),
    }
}
