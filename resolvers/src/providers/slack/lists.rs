//! Slack's lists: which nodes belong to them, in what order, and what passes a filter.

use mullion_schema::{
    ports::{Filter, Lookup},
    view::Body,
};
use serde_json::Value;

use super::{
    names::{self, CHANNEL, CHANNELS, MESSAGE, MESSAGES, REPLIES, USER, USERS},
    values::ts as time,
};
use crate::{
    provider::{ContainerLists, Keeping, ListRef, ListType, NodeRef},
    sort_key::{newest_first, oldest_first},
};

/// The lists.
pub(super) const LISTS: &[ListType] = &[
    ListType { parent: None, name: CHANNELS, keeping: Keeping::Window },
    ListType { parent: None, name: USERS, keeping: Keeping::Window },
    ListType { parent: Some(CHANNEL), name: MESSAGES, keeping: Keeping::Window },
    ListType { parent: Some(MESSAGE), name: REPLIES, keeping: Keeping::Window },
];

/// The arguments that [`matches`] knows.
pub(super) const FILTERS: &[&str] = &["archived"];

/// The lists that the cross-provider widgets read.
pub(super) const CONTAINERS: &[ContainerLists] = &[ContainerLists {
    container: CHANNEL,
    all: CHANNELS,
    work_items: None,
    pull_requests: None,
    builds: None,
    days_of_a_build: 0,
    messages: Some(MESSAGES),
}];

/// The list in which what is looked up stands too.
pub(super) fn of_lookup(lookup: &Lookup) -> Option<ListRef> {
    (lookup.type_name == CHANNEL).then_some(ListRef { parent: None, name: CHANNELS })
}

/// Whether a channel is what is looked up; `None`: its name is not known.
pub(super) fn is_named(lookup: &Lookup, body: &Body) -> Option<bool> {
    let name = lookup.arguments.get("name")?.trim_start_matches('#').to_lowercase();
    Some(body.get("name")?.as_str()? == name)
}

/// The windows that a node belongs to, with its sort key.
pub(super) fn memberships(node: &NodeRef, body: &Body) -> Vec<(ListRef, String)> {
    let text = |key: &str| body.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let of_account = |name, sort: Option<&str>| {
        let sort = sort.map(str::to_lowercase);
        sort.map(|sort| (ListRef { parent: None, name }, sort)).into_iter().collect()
    };
    match node.type_name {
        CHANNEL => of_account(CHANNELS, text("name")),
        USER => of_account(USERS, text("handle")),
        MESSAGE => message(node, body),
        _ => Vec::new(),
    }
}

/// A reply stands in its thread; one that was also sent to the channel stands in both.
fn message(node: &NodeRef, body: &Body) -> Vec<(ListRef, String)> {
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    let Some((team, channel, ts)) = names::message_parts(&node.native_id) else { return Vec::new() };
    // Without these, too little is known of it: of a reply it would not be known that it is one.
    if text("ts").is_none() || !body.contains_key("threadTs") {
        return Vec::new();
    }
    let mut places = Vec::new();
    let root = text("threadTs").filter(|root| *root != ts);
    if root.is_none() || text("subtype") == Some("thread_broadcast") {
        let list = ListRef { parent: Some(NodeRef::new(CHANNEL, channel)), name: MESSAGES };
        places.extend(newest_first(time(ts)).map(|sort| (list, sort)));
    }
    if let Some(root) = root {
        let list = ListRef { parent: Some(names::message(team, channel, root)), name: REPLIES };
        places.extend(oldest_first(time(ts)).map(|sort| (list, sort)));
    }
    places
}

/// Whether an item of a list's window passes a filter: `archived: false` leaves archived channels out.
pub(super) fn matches(list: &ListRef, filter: &Filter, body: &Body) -> bool {
    if list.parent.is_some() || list.name != CHANNELS {
        return true;
    }
    let leaves_out = filter.get("archived").is_some_and(|values| values.iter().any(|value| value == "false"));
    !(leaves_out && body.get("isArchived") == Some(&Value::Bool(true)))
}

#[cfg(test)]
mod tests {
    use mullion_schema::{ports::Filter, view::Body};
    use serde_json::{Value, json};

    use super::{CHANNELS, matches, memberships};
    use crate::provider::{ListRef, NodeRef};

    fn body(value: &Value) -> Body {
        value.as_object().expect("an object").clone()
    }

    fn places(type_name: &'static str, id: &str, value: &Value) -> Vec<String> {
        let list = |list: ListRef| match list.parent {
            Some(parent) => format!("{parent}/{}", list.name),
            None => list.name.to_owned(),
        };
        memberships(&NodeRef::new(type_name, id), &body(value))
            .into_iter()
            .map(|(found, sort)| format!("{} {sort}", list(found)))
            .collect()
    }

    #[test]
    fn messages_stand_in_their_channel_and_replies_in_their_thread() {
        let message = |ts: &str, thread: Value, subtype: Value| {
            let value = &json!({ "ts": ts, "threadTs": thread, "subtype": subtype });
            places("SlackMessage", &format!("T1:C1:{ts}"), value)
        };
        let newest = "SlackChannel:C1/messages 18445044073709551615";
        assert_eq!(message("1700000000.000000", json!(null), json!(null)), [newest]);
        assert_eq!(message("1700000000.000000", json!("1700000000.000000"), json!(null)), [newest]);
        let reply = "SlackMessage:T1:C1:1600000000.000001/replies 00001700000000000000";
        assert_eq!(message("1700000000.000000", json!("1600000000.000001"), json!(null)), [reply]);
        let both = message("1700000000.000000", json!("1600000000.000001"), json!("thread_broadcast"));
        assert_eq!(both, [newest, reply]);
        let (older, newer) = ("1700000000.000000", "1700000000.000001");
        assert!(message(newer, json!(null), json!(null)) < message(older, json!(null), json!(null)));
        assert!(places("SlackMessage", "T1:C1:1700000000.000000", &json!({ "ts": "1700000000.000000" })).is_empty());
        assert!(places("SlackMessage", "odd", &json!({ "ts": "odd", "threadTs": null })).is_empty());
    }

    #[test]
    fn channels_and_users_stand_in_the_accounts_lists_by_name() {
        assert_eq!(places("SlackChannel", "C1", &json!({ "name": "general" })), ["channels general"]);
        assert_eq!(places("SlackUser", "U1", &json!({ "handle": "Ada" })), ["users ada"]);
        assert!(places("SlackChannel", "C1", &json!({})).is_empty());
        assert!(places("SlackWorkspace", "T1", &json!({ "name": "Acme" })).is_empty());
    }

    #[test]
    fn archived_channels_are_left_out_where_the_filter_says_so() {
        let channels = ListRef { parent: None, name: CHANNELS };
        let in_use = Filter::from([("archived", vec!["false".to_owned()])]);
        for (archived, filter, passes) in [
            (false, Filter::new(), true),
            (true, Filter::new(), true),
            (false, in_use.clone(), true),
            (true, in_use, false),
        ] {
            assert_eq!(matches(&channels, &filter, &body(&json!({ "isArchived": archived }))), passes, "{filter:?}");
        }
    }
}
