//! Which of an integration's sockets serves, which comes and which goes: a machine without I/O. A socket that is to be replaced goes
//! only when the next one is ready, so that there is always one that the provider can send to.

use crate::store::event_socket::SocketState;

/// The number of a socket.
pub(super) type Number = u64;

/// The news of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// Events come over it.
    Ready,
    /// It will be closed soon.
    Renew,
    /// It is closed, or could not be opened, and why.
    Closed(String),
    /// It could not be opened, and will not be without somebody's help.
    Refused(String),
    /// The provider will open none any more.
    Disabled(String),
}

/// An action to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// Open a socket, when its time has come.
    Open(Number),
    /// Close one when all that came over it is acknowledged.
    Retire(Number),
    /// How it stands now, and what keeps it from being open.
    Show(SocketState, Option<String>),
}

/// The sockets of an integration.
#[derive(Debug, Default)]
pub(super) struct Session {
    serving: Option<Number>,
    coming: Option<Number>,
    /// Why there will be no other one, while this one still serves.
    refused: Option<String>,
    last: Number,
}

impl Session {
    /// The first orders.
    pub(super) fn begin(&mut self) -> Vec<Order> {
        vec![self.open(), Order::Show(SocketState::Connecting, None)]
    }

    /// The orders that follow from the news of a socket.
    pub(super) fn hear(&mut self, number: Number, news: News) -> Vec<Order> {
        let (serves, comes) = (self.serving == Some(number), self.coming == Some(number));
        match news {
            News::Ready if comes => {
                let old = self.serving.replace(number);
                self.coming = None;
                old.map(Order::Retire).into_iter().chain([Order::Show(SocketState::Open, None)]).collect()
            }
            News::Renew if serves && self.coming.is_none() => vec![self.open()],
            News::Renew if comes => vec![Order::Retire(number), self.open()],
            News::Closed(why) if serves => {
                self.serving = None;
                if let Some(refused) = self.refused.take() {
                    return vec![Order::Show(SocketState::Failed, Some(refused))];
                }
                let opened = self.coming.is_none().then(|| self.open());
                opened.into_iter().chain([Order::Show(SocketState::Connecting, Some(why))]).collect()
            }
            News::Closed(why) if comes => {
                let opened = self.open();
                let shown = self.serving.is_none().then_some(Order::Show(SocketState::Connecting, Some(why)));
                [opened].into_iter().chain(shown).collect()
            }
            News::Refused(why) if comes => {
                self.coming = None;
                if self.serving.is_some() {
                    self.refused = Some(why);
                    return Vec::new();
                }
                vec![Order::Show(SocketState::Failed, Some(why))]
            }
            News::Disabled(why) if serves || comes => {
                let all = [self.serving.take(), self.coming.take()];
                let retired = all.into_iter().flatten().map(Order::Retire);
                retired.chain([Order::Show(SocketState::Failed, Some(why))]).collect()
            }
            // News of a socket that is on its way out.
            _ => Vec::new(),
        }
    }

    fn open(&mut self) -> Order {
        self.last += 1;
        // Whatever was said of an earlier one: this one's answer counts.
        self.refused = None;
        self.coming = Some(self.last);
        Order::Open(self.last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{News, Order, Session};
    use crate::store::event_socket::SocketState::{self, Connecting, Failed, Open};

    fn show(state: SocketState, why: Option<&str>) -> Order {
        Order::Show(state, why.map(str::to_owned))
    }

    fn closed(why: &str) -> News {
        News::Closed(why.to_owned())
    }

    #[test]
    fn a_socket_goes_only_when_the_next_one_is_ready() {
        let mut session = Session::default();
        for (number, news, orders) in [
            (0, None, vec![Order::Open(1), show(Connecting, None)]),
            (1, Some(News::Ready), vec![show(Open, None)]),
            (1, Some(News::Renew), vec![Order::Open(2)]),
            (1, Some(News::Renew), vec![]),
            (2, Some(closed("busy")), vec![Order::Open(3)]),
            (3, Some(News::Ready), vec![Order::Retire(1), show(Open, None)]),
            (1, Some(closed("done")), vec![]),
            (3, Some(closed("cut off")), vec![Order::Open(4), show(Connecting, Some("cut off"))]),
            (4, Some(closed("down")), vec![Order::Open(5), show(Connecting, Some("down"))]),
            (5, Some(News::Renew), vec![Order::Retire(5), Order::Open(6)]),
            (6, Some(News::Ready), vec![show(Open, None)]),
            (6, Some(News::Renew), vec![Order::Open(7)]),
            (6, Some(closed("early")), vec![show(Connecting, Some("early"))]),
            (7, Some(News::Ready), vec![show(Open, None)]),
        ] {
            let followed = match news.clone() {
                None => session.begin(),
                Some(news) => session.hear(number, news),
            };
            assert_eq!(followed, orders, "{number} {news:?}");
        }
    }

    #[test]
    fn what_the_provider_refuses_is_not_tried_again() {
        let mut session = Session::default();
        session.begin();
        assert_eq!(session.hear(1, News::Refused("no".into())), [show(Failed, Some("no"))]);
        let mut session = Session::default();
        session.begin();
        session.hear(1, News::Ready);
        session.hear(1, News::Renew);
        assert_eq!(session.hear(2, News::Refused("no".into())), [], "the one that serves still serves");
        assert_eq!(session.hear(1, closed("done")), [show(Failed, Some("no"))]);
        let mut session = Session::default();
        session.begin();
        session.hear(1, News::Ready);
        session.hear(1, News::Renew);
        session.hear(2, News::Refused("no".into()));
        assert_eq!(session.hear(1, News::Renew), [Order::Open(3)], "it is asked to");
        assert_eq!(session.hear(1, closed("done")), [show(Connecting, Some("done"))], "the third may be let in");
        let mut session = Session::default();
        session.begin();
        session.hear(1, News::Ready);
        session.hear(1, News::Renew);
        let orders = [Order::Retire(1), Order::Retire(2), show(Failed, Some("off"))];
        assert_eq!(session.hear(1, News::Disabled("off".into())), orders);
        assert_eq!(session.hear(1, closed("done")), []);
    }

    proptest! {
        /// Whatever happens, in whatever order: one serves and one comes at most, none is left open and forgotten, and unless it
        /// was refused, one of them is there.
        #[test]
        fn there_is_always_one_that_serves_or_comes(happens in prop::collection::vec((0_usize..4, 0_usize..5), 0..60)) {
            let mut session = Session::default();
            let mut open = vec![];
            let mut orders = session.begin();
            let mut failed = false;
            for (which, what) in happens {
                for order in orders.drain(..) {
                    match order {
                        Order::Open(number) => open.push(number),
                        Order::Retire(number) => open.retain(|known| *known != number),
                        Order::Show(state, _) => failed = state == Failed,
                    }
                }
                prop_assert!(open.len() <= 2);
                prop_assert_eq!(open.is_empty(), failed);
                let Some(number) = open.get(which % open.len().max(1)).copied() else { break };
                let ready = session.serving == Some(number);
                let news = match what {
                    0 if !ready => News::Ready,
                    0 | 1 => News::Renew,
                    2 if !ready => News::Refused(String::new()),
                    4 => News::Disabled(String::new()),
                    _ => closed(""),
                };
                if matches!(news, News::Closed(_) | News::Refused(_)) {
                    open.retain(|known| *known != number);
                }
                orders = session.hear(number, news);
            }
        }
    }
}
