//! Fetches all that is wanted in one tick: users and channels from one list each, messages with one call for each channel.

use std::collections::BTreeMap;

use futures::future::{join, join_all, join4};

use super::{
    Outcome, Slack, account,
    directory::{self, Kind, Wanted, kind_of},
    messages,
    names::{CHANNEL, CHANNELS, MESSAGE, USERS, WORKSPACE},
};
use crate::{
    provider::{FetchWant, Fetched, PageWant},
    upstream::{Connection, UpstreamError, UpstreamErrorKind},
};

/// The wants of a tick, sorted by how it is asked for.
#[derive(Debug, Default)]
struct Plan {
    users: Wanted,
    channels: Wanted,
    singles: messages::Singles,
    pages: Vec<(usize, PageWant)>,
    /// The workspace: each place that wants it, with the id where one was given.
    workspaces: Vec<(usize, Option<String>)>,
    outcomes: BTreeMap<usize, Outcome>,
}

impl Plan {
    fn of(wants: Vec<FetchWant>) -> Self {
        let mut plan = Self::default();
        for (index, want) in wants.into_iter().enumerate() {
            plan.add(index, want);
        }
        plan
    }

    fn add(&mut self, index: usize, want: FetchWant) {
        match want {
            FetchWant::Node { node, .. } => match kind_of(node.type_name) {
                Some(kind) => self.of_kind(kind).nodes.push((index, node)),
                None if node.type_name == MESSAGE => {
                    if !messages::want(&mut self.singles, index, &node) {
                        self.outcomes.insert(index, Ok(Fetched::default()));
                    }
                }
                None if node.type_name == WORKSPACE => {
                    self.workspaces.push((index, Some(node.native_id.as_ref().to_owned())));
                }
                None => self.refuse(index, "Slack has no such type"),
            },
            FetchWant::Lookup { lookup, .. } => match (lookup.name, lookup.arguments.get("name")) {
                ("workspace", _) => self.workspaces.push((index, None)),
                ("channel", Some(name)) => self.channels.names.push((index, name.clone())),
                _ => self.refuse(index, "Slack cannot look this up"),
            },
            FetchWant::Page(page) => match (&page.list.parent, page.list.name) {
                (None, USERS) => self.users.pages.push((index, page)),
                (None, CHANNELS) => self.channels.pages.push((index, page)),
                (Some(parent), _) if matches!(parent.type_name, CHANNEL | MESSAGE) => self.pages.push((index, page)),
                _ => self.refuse(index, "Slack has no such list"),
            },
        }
    }

    fn of_kind(&mut self, kind: Kind) -> &mut Wanted {
        match kind {
            Kind::Users => &mut self.users,
            Kind::Channels => &mut self.channels,
        }
    }

    fn refuse(&mut self, index: usize, why: &str) {
        self.outcomes.insert(index, Err(UpstreamError::new(UpstreamErrorKind::Rejected, why)));
    }
}

pub(super) async fn fetch(slack: &Slack, api: &Connection, wants: Vec<FetchWant>) -> Vec<Outcome> {
    let count = wants.len();
    let Plan { users, channels, singles, pages, workspaces, mut outcomes } = Plan::of(wants);
    // Asked once, before several parts of the tick need it.
    let needs_home = workspaces.len() < count && outcomes.len() < count;
    if needs_home && let Err(error) = account::home(slack, api).await {
        return (0..count).map(|_| Err(error.clone())).collect();
    }
    let singles = singles.into_iter().map(|(place, wanted)| messages::singles(slack, api, place, wanted));
    let pages = pages.into_iter().map(async |(index, want)| (index, messages::page(slack, api, want).await));
    let directories = join(
        directory::answer(slack, api, Kind::Users, users),
        directory::answer(slack, api, Kind::Channels, channels),
    );
    let (directories, singles, pages, workspaces) =
        join4(Box::pin(directories), join_all(singles), join_all(pages), the_workspace(slack, api, workspaces)).await;
    outcomes.extend(directories.0.into_iter().chain(directories.1));
    outcomes.extend(singles.into_iter().flatten().chain(pages).chain(workspaces));
    let lost = || UpstreamError::new(UpstreamErrorKind::Down, "Slack's answer lacks this part");
    (0..count).map(|index| outcomes.remove(&index).unwrap_or_else(|| Err(lost()))).collect()
}

async fn the_workspace(slack: &Slack, api: &Connection, wants: Vec<(usize, Option<String>)>) -> Vec<(usize, Outcome)> {
    if wants.is_empty() {
        return Vec::new();
    }
    let outcome = directory::workspace(slack, api).await;
    let answer = |(index, id): (usize, Option<String>)| {
        let outcome = outcome.clone().map(|fetched| {
            let is_other = |id: &String| fetched.found.as_ref().is_none_or(|found| found.native_id.as_ref() != id);
            if id.as_ref().is_some_and(is_other) { Fetched::default() } else { fetched }
        });
        (index, outcome)
    };
    wants.into_iter().map(answer).collect()
}
