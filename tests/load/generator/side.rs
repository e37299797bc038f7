//! The two that are compared, seen as one: a process, where sockets go, and the request that makes delivery `n` happen.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{
    http::{self, Request},
    limit::{PUBLISH, SNAPSHOT, UNTOUCHED},
    options::Options,
    program::Program,
    socket::{Operation, Socket, source},
    target::{GRAPHQL, Target},
    watch,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// A running side.
pub(crate) struct Side {
    pub(crate) program: Program,
    pub(crate) operation: Operation,
    /// A frame of the widget, with a delivery's title in it.
    pub(crate) frame: Utf8Bytes,
    /// Asked by sockets that no delivery touches.
    pub(crate) untouched: &'static str,
    change: Change,
    next: u64,
}

enum Change {
    Edit(Box<Target>),
    Publish,
}

impl Side {
    /// Mullion, with a first delivery seen by a subscriber.
    pub(crate) async fn mullion(options: &Options) -> anyhow::Result<Self> {
        let program = Program::mullion(options, None).await?;
        let mut target = Target::find(&program).await?;
        let operation = target.operation();
        let mut socket = Socket::open(program.address, source(0), GRAPHQL).await?;
        socket.subscribe(&operation).await?;
        socket.snapshot_end().await?;
        http::ask(program.address, &target.subject.edit(1)?).await?;
        let seen = async {
            loop {
                let frame = socket.answer().await?;
                if watch::number_in(&frame, &mut 0).is_some() {
                    return Ok::<_, anyhow::Error>(frame);
                }
            }
        };
        let frame = tokio::time::timeout(PATIENCE, seen).await.context("no frame shows the delivery")??;
        let change = Change::Edit(Box::new(target));
        Ok(Self { program, operation, frame, untouched: GRAPHQL, change, next: 2 })
    }

    /// The limit, which sends the same bytes.
    pub(crate) async fn limit(options: &Options, like: &Self) -> anyhow::Result<Self> {
        let program = Program::limit(options).await?;
        let (operation, frame) = (like.operation.clone(), like.frame.clone());
        http::ask(program.address, &Request::post(SNAPSHOT, Bytes::from(frame.clone()))).await?;
        Ok(Self { program, operation, frame, untouched: UNTOUCHED, change: Change::Publish, next: 2 })
    }

    /// The next deliveries with their numbers, ready to be sent.
    pub(crate) fn deliveries(&mut self, count: u64) -> anyhow::Result<Vec<(u64, Request)>> {
        let first = self.next;
        self.next += count;
        (first..self.next).map(|number| Ok((number, self.delivery(number)?))).collect()
    }

    fn delivery(&mut self, number: u64) -> anyhow::Result<Request> {
        match &mut self.change {
            Change::Edit(target) => target.subject.edit(number),
            Change::Publish => {
                let mut place = 0;
                let before = watch::number_in(&self.frame, &mut place).context("a frame without a number")?;
                let frame = self.frame.replace(&watch::title(before), &watch::title(number));
                Ok(Request::post(PUBLISH, frame))
            }
        }
    }

    /// The path and the operation of socket `number` of distinct operations.
    pub(crate) fn distinct(&self, number: usize, touched: bool) -> (String, Operation) {
        let path = if touched { GRAPHQL } else { self.untouched };
        let operation = match &self.change {
            Change::Edit(target) => target.distinct(number, touched),
            Change::Publish => self.operation.clone(),
        };
        (path.to_owned(), operation)
    }
}
