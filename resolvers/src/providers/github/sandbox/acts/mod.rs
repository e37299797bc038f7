//! The acts that may happen in the sandboxed GitHub. Each changes the world and sends the webhooks that GitHub would send.

mod builds;
mod gentle;
mod input;
mod issues;
mod pulls;
mod repository;

use serde_json::{Value, json};

pub(crate) use self::gentle::gentle;
use super::{
    hooks,
    shapes::{self, repository as repository_shape, shape},
    world::{
        World,
        model::{Repo, Time},
    },
};
use crate::sandbox::{ActError, Acted, OutgoingWebhook};

type Result<T> = std::result::Result<T, ActError>;

/// The acts with an example of their inputs.
pub(crate) fn all() -> Vec<(&'static str, Value)> {
    let on = |more: Value| {
        let mut input = json!({ "repository": "acme/web" });
        shapes::extend(&mut input, more);
        input
    };
    vec![
        ("open_issue", on(json!({ "title": "Fix the login form", "body": "It stays empty.", "labels": ["bug"] }))),
        ("close_issue", on(json!({ "number": 12, "reason": "completed" }))),
        ("reopen_issue", on(json!({ "number": 12 }))),
        ("edit_issue", on(json!({ "number": 12, "title": "Fix the login form on Safari" }))),
        ("label_issue", on(json!({ "number": 12, "label": "bug", "remove": false }))),
        ("assign_issue", on(json!({ "number": 12, "assignee": "benokafor" }))),
        ("comment_issue", on(json!({ "number": 12, "body": "I can reproduce this." }))),
        ("delete_issue", on(json!({ "number": 12 }))),
        ("open_pull_request", on(json!({ "title": "Speed up search", "draft": false, "reviewers": ["gracelin"] }))),
        ("close_pull_request", on(json!({ "number": 14 }))),
        ("merge_pull_request", on(json!({ "number": 14 }))),
        ("review_pull_request", on(json!({ "number": 14, "state": "approved", "body": "Looks good" }))),
        ("push", on(json!({ "branch": "main", "message": "Correct a typo" }))),
        ("workflow_run", on(json!({ "workflow": "CI", "branch": "main", "conclusion": "success" }))),
        ("check_run", on(json!({ "number": 14, "name": "test", "conclusion": "failure" }))),
        ("check_suite", on(json!({ "number": 14, "conclusion": "success" }))),
        ("status", on(json!({ "number": 14, "context": "preview/deploy", "state": "success" }))),
        ("publish_release", on(json!({ "tag": "v2.0.0", "name": "Version 2", "prerelease": false }))),
        ("star", on(json!({ "action": "created" }))),
        ("edit_repository", on(json!({ "description": "The web application, second edition" }))),
        ("disable_webhook", on(json!({ "url": "https://example.com/hooks" }))),
        ("delete_webhook", on(json!({ "url": "https://example.com/hooks" }))),
        ("rename_repository", on(json!({ "name": "website" }))),
    ]
}

/// Does what the input asks for.
pub(crate) fn act(world: &mut World, now: Time, action: &str, input: &Value) -> Result<Acted> {
    let (repo, sender) = {
        let ask = input::Input { world, input };
        (ask.repo()?, ask.sender()?)
    };
    let mut act = Act { world, now, input, repo, sender, sent: Vec::new() };
    let result = match action {
        "open_issue" => issues::open(&mut act)?,
        "close_issue" => issues::close(&mut act)?,
        "reopen_issue" => issues::reopen(&mut act)?,
        "edit_issue" => issues::edit(&mut act)?,
        "label_issue" => issues::label(&mut act)?,
        "assign_issue" => issues::assign(&mut act)?,
        "comment_issue" => issues::comment(&mut act)?,
        "delete_issue" => issues::delete(&mut act)?,
        "open_pull_request" => pulls::open(&mut act)?,
        "close_pull_request" => pulls::close(&mut act)?,
        "merge_pull_request" => pulls::merge(&mut act)?,
        "review_pull_request" => pulls::review(&mut act)?,
        "push" => pulls::push(&mut act)?,
        "workflow_run" => builds::workflow_run(&mut act)?,
        "check_run" => builds::check_run(&mut act)?,
        "check_suite" => builds::check_suite(&mut act)?,
        "status" => builds::status(&mut act)?,
        "publish_release" => repository::publish_release(&mut act)?,
        "star" => repository::star(&mut act)?,
        "edit_repository" => repository::edit(&mut act)?,
        "rename_repository" => repository::rename(&mut act)?,
        "disable_webhook" => repository::lose_webhooks(&mut act, false)?,
        "delete_webhook" => repository::lose_webhooks(&mut act, true)?,
        other => return Err(ActError::Unknown(other.to_owned())),
    };
    Ok(Acted { result, webhooks: act.sent })
}

/// An act that is being done.
struct Act<'a> {
    world: &'a mut World,
    now: Time,
    input: &'a Value,
    repo: usize,
    sender: usize,
    sent: Vec<OutgoingWebhook>,
}

impl Act<'_> {
    fn ask(&self) -> input::Input<'_> {
        input::Input { world: self.world, input: self.input }
    }

    fn repo(&self) -> Result<&Repo> {
        self.world.repos.get(self.repo).ok_or_else(|| ActError::NotFound("the repository".to_owned()))
    }

    fn repo_mut(&mut self) -> Result<&mut Repo> {
        self.world.repos.get_mut(self.repo).ok_or_else(|| ActError::NotFound("the repository".to_owned()))
    }

    /// Sends an event to whoever is subscribed: the action (where the event has one), the things it is about, and what every
    /// payload carries.
    fn emit(&mut self, event: &'static str, action: Option<&str>, about: Value) -> Result<()> {
        let mut payload = action.map_or_else(|| shape! {}, |action| shape! { "action": action });
        shapes::extend(&mut payload, about);
        let repository = match event {
            "push" => repository_shape::pushed(self.world, self.repo()?),
            _ => repository_shape::repository(self.world, self.repo()?),
        };
        shapes::extend(
            &mut payload,
            shape! {
                "repository": repository,
                "organization": shapes::organization(self.world, false),
                "sender": shapes::actor(self.world, self.sender),
            },
        );
        let sent = hooks::emit(self.world, self.now, self.repo, event, &payload);
        self.sent.extend(sent);
        Ok(())
    }
}
