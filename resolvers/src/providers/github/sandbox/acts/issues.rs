//! Acts on issues; commenting, labelling and assigning work on pull requests too.

use serde_json::Value;

use super::{Act, Result, input::Wanted};
use crate::{
    providers::github::sandbox::{
        shapes::{self, extend, issues as form, pulls as pull_form, shape},
        world::model::{Comment, Item},
    },
    sandbox::ActError,
};

impl Act<'_> {
    pub(super) fn item_mut(&mut self, number: u64) -> Result<&mut Item> {
        let now = self.now;
        let repo = self.repo_mut()?;
        repo.updated = now;
        repo.items.get_mut(&number).ok_or_else(|| ActError::NotFound(format!("number: {number}")))
    }

    pub(super) fn item(&self, number: u64) -> Result<&Item> {
        self.repo()?.items.get(&number).ok_or_else(|| ActError::NotFound(format!("number: {number}")))
    }

    /// The item as the caller is shown it.
    pub(super) fn told(&self, number: u64) -> Result<Value> {
        let (repo, item) = (self.repo()?, self.item(number)?);
        Ok(shape! {
            "id": item.pull.as_ref().map_or(item.id, |pull| pull.id),
            "node_id": item.node_id(repo.id),
            "number": number,
            "repository": repo.full_name(self.world),
            "repository_node_id": repo.node_id(),
            "title": item.title,
            "state": item.state(),
            "html_url": form::page(self.world, repo, item),
        })
    }

    /// Sends `issues` or `pull_request` with the whole item, and what else belongs to the action.
    pub(super) fn emit_item(&mut self, number: u64, action: &str, more: Value) -> Result<()> {
        let (repo, item) = (self.repo()?, self.item(number)?);
        let (event, mut about) = if item.pull.is_some() {
            let whole = pull_form::whole(self.world, repo, item);
            ("pull_request", shape! { "number": number, "pull_request": whole })
        } else {
            ("issues", shape! { "issue": form::issue(self.world, repo, item) })
        };
        extend(&mut about, more);
        self.emit(event, Some(action), about)
    }
}

pub(super) fn open(act: &mut Act<'_>) -> Result<Value> {
    let item = new_item(act)?;
    let number = item.number;
    let now = act.now;
    let repo = act.repo_mut()?;
    repo.updated = now;
    repo.items.insert(number, item);
    act.emit_item(number, "opened", shape! {})?;
    act.told(number)
}

/// A new item as the input describes it.
pub(super) fn new_item(act: &mut Act<'_>) -> Result<Item> {
    let id = act.world.next_id();
    let number = act.repo()?.next_number();
    let ask = act.ask();
    let labels = ask.labels(act.repo, &ask.texts("labels")?.unwrap_or_default())?;
    let title = ask.text("title")?.map_or_else(|| format!("New issue {number}"), str::to_owned);
    if title.trim().is_empty() {
        return Err(ActError::BadInput("title: must not be empty".to_owned()));
    }
    Ok(Item {
        id,
        number,
        title,
        body: ask.text("body")?.unwrap_or("").to_owned(),
        author: act.sender,
        created: act.now,
        updated: act.now,
        closed: None,
        state_reason: None,
        labels,
        assignees: ask.people("assignees")?.unwrap_or_default(),
        milestone: ask.number("milestone")?,
        comments: Vec::new(),
        pull: None,
    })
}

pub(super) fn close(act: &mut Act<'_>) -> Result<Value> {
    let ask = act.ask();
    let number = ask.item(act.repo, Wanted::Issue)?.number;
    let reason = ask.word("reason", &["completed", "not_planned", "duplicate"])?;
    let (now, sender) = (act.now, act.sender);
    let item = act.item_mut(number)?;
    if item.is_open() {
        item.closed = Some((now, sender));
        item.updated = now;
        item.state_reason = Some(reason);
        act.emit_item(number, "closed", shape! {})?;
    }
    act.told(number)
}

pub(super) fn reopen(act: &mut Act<'_>) -> Result<Value> {
    let number = act.ask().item_where(act.repo, Wanted::Issue, |item| !item.is_open())?.number;
    let now = act.now;
    let item = act.item_mut(number)?;
    if !item.is_open() {
        item.closed = None;
        item.updated = now;
        item.state_reason = Some("reopened");
        act.emit_item(number, "reopened", shape! {})?;
    }
    act.told(number)
}

pub(super) fn edit(act: &mut Act<'_>) -> Result<Value> {
    let ask = act.ask();
    let number = ask.item(act.repo, Wanted::Either)?.number;
    let title = ask.text("title")?.map(str::to_owned);
    let body = ask.text("body")?.map(str::to_owned);
    let now = act.now;
    let item = act.item_mut(number)?;
    let mut changes = shape! {};
    for (name, own, new) in [("title", &mut item.title, title), ("body", &mut item.body, body)] {
        if let Some(new) = new.filter(|new| new != own) {
            let from = shape! { "from": std::mem::replace(own, new) };
            extend(&mut changes, Value::Object([(name.to_owned(), from)].into_iter().collect()));
        }
    }
    if changes.as_object().is_some_and(|changes| !changes.is_empty()) {
        item.updated = now;
        act.emit_item(number, "edited", shape! { "changes": changes })?;
    }
    act.told(number)
}

pub(super) fn label(act: &mut Act<'_>) -> Result<Value> {
    let ask = act.ask();
    let number = ask.item(act.repo, Wanted::Either)?.number;
    let remove = ask.flag("remove")?;
    let name = ask.text("label")?.unwrap_or("bug").to_owned();
    let ids = ask.labels(act.repo, &[&name])?;
    let now = act.now;
    let item = act.item_mut(number)?;
    let before = item.labels.len();
    item.labels.retain(|label| !ids.contains(label));
    if !remove {
        item.labels.extend(&ids);
    }
    if item.labels.len() != before {
        item.updated = now;
        let repo = act.repo()?;
        let label = ids.first().and_then(|id| repo.label(*id)).map(|label| shapes::label(act.world, repo, label));
        act.emit_item(number, if remove { "unlabeled" } else { "labeled" }, shape! { "label": label })?;
    }
    act.told(number)
}

pub(super) fn assign(act: &mut Act<'_>) -> Result<Value> {
    let ask = act.ask();
    let number = ask.item(act.repo, Wanted::Either)?.number;
    let remove = ask.flag("remove")?;
    let who = match ask.text("assignee")? {
        Some(login) => ask.person("assignee", login)?,
        None => act.world.viewer,
    };
    let now = act.now;
    let item = act.item_mut(number)?;
    let before = item.assignees.len();
    item.assignees.retain(|own| *own != who);
    if !remove {
        item.assignees.push(who);
    }
    if item.assignees.len() != before {
        item.updated = now;
        let about = shape! { "assignee": shapes::actor(act.world, who) };
        act.emit_item(number, if remove { "unassigned" } else { "assigned" }, about)?;
    }
    act.told(number)
}

pub(super) fn comment(act: &mut Act<'_>) -> Result<Value> {
    let ask = act.ask();
    let number = ask.item(act.repo, Wanted::Either)?.number;
    let body = ask.text("body")?.unwrap_or("Thanks, I will have a look.").to_owned();
    let id = act.world.next_id();
    let (now, sender) = (act.now, act.sender);
    let item = act.item_mut(number)?;
    item.comments.push(Comment { id, author: sender, body, created: now, updated: now });
    item.updated = now;
    let (repo, item) = (act.repo()?, act.item(number)?);
    let comment = item.comments.last().map(|comment| form::comment(act.world, repo, item, comment));
    let issue = form::issue(act.world, repo, item);
    let mut told = act.told(number)?;
    extend(&mut told, shape! { "comment": comment });
    act.emit("issue_comment", Some("created"), shape! { "issue": issue, "comment": comment })?;
    Ok(told)
}

pub(super) fn delete(act: &mut Act<'_>) -> Result<Value> {
    let number = act.ask().item(act.repo, Wanted::Issue)?.number;
    let told = act.told(number)?;
    let (repo, item) = (act.repo()?, act.item(number)?);
    let issue = form::issue(act.world, repo, item);
    act.repo_mut()?.items.remove(&number);
    act.emit("issues", Some("deleted"), shape! { "issue": issue })?;
    Ok(told)
}
