//! The checked input of an act; every refusal names the field.

use serde_json::Value;

use super::Result;
use crate::{
    providers::github::sandbox::world::{
        World,
        model::{ActorKind, Item},
    },
    sandbox::ActError,
};

pub(super) struct Input<'a> {
    pub(super) world: &'a World,
    pub(super) input: &'a Value,
}

/// Which kind of item a number may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Issue,
    Pull,
    Either,
}

impl<'a> Input<'a> {
    fn get(&self, field: &str) -> Option<&'a Value> {
        self.input.get(field).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, field: &str) -> Result<Option<&'a str>> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ActError::BadInput(format!("{field}: expected a text"))),
        }
    }

    pub(super) fn flag(&self, field: &str) -> Result<bool> {
        match self.get(field) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(ActError::BadInput(format!("{field}: expected true or false"))),
        }
    }

    pub(super) fn number(&self, field: &str) -> Result<Option<u64>> {
        match self.get(field) {
            None => Ok(None),
            Some(value) => {
                value.as_u64().map(Some).ok_or_else(|| ActError::BadInput(format!("{field}: expected a number")))
            }
        }
    }

    /// A list of texts; objects with a `name` (as GitHub takes labels) count as their names.
    pub(super) fn texts(&self, field: &str) -> Result<Option<Vec<&'a str>>> {
        let wrong = || ActError::BadInput(format!("{field}: expected a list of texts"));
        let Some(value) = self.get(field) else { return Ok(None) };
        let items = value.as_array().ok_or_else(wrong)?;
        let text = |item: &'a Value| item.as_str().or_else(|| item.get("name")?.as_str()).ok_or_else(wrong);
        items.iter().map(text).collect::<Result<Vec<_>>>().map(Some)
    }

    /// One of these words; the first when the field is absent.
    pub(super) fn word(&self, field: &str, words: &[&'static str]) -> Result<&'static str> {
        let given = self.text(field)?;
        let found = match given {
            None => words.first(),
            Some(given) => words.iter().find(|word| word.eq_ignore_ascii_case(given)),
        };
        found.copied().ok_or_else(|| ActError::BadInput(format!("{field}: expected one of {}", words.join(", "))))
    }

    /// The repository; the first one when none is named.
    pub(super) fn repo(&self) -> Result<usize> {
        let Some(name) = self.text("repository")? else { return Ok(0) };
        let (owner, short) = name.split_once('/').unwrap_or((&self.world.actor(self.world.org).login, name));
        let found = self.world.repo_named(owner, short).or_else(|| self.world.repo_formerly_named(owner, short));
        found.ok_or_else(|| ActError::NotFound(format!("the repository {name}")))
    }

    /// The person who does it: `sender`, `author` or `actor`, else the viewer's neighbour, so that it is somebody else's doing.
    pub(super) fn sender(&self) -> Result<usize> {
        for field in ["sender", "author", "actor"] {
            if let Some(login) = self.text(field)? {
                return self.person(field, login);
            }
        }
        Ok(self.world.viewer + 1)
    }

    pub(super) fn person(&self, field: &str, login: &str) -> Result<usize> {
        let found = self.world.actor_named(login).filter(|at| self.world.actor(*at).kind != ActorKind::Organization);
        found.ok_or_else(|| ActError::NotFound(format!("{field}: the user {login}")))
    }

    pub(super) fn people(&self, field: &str) -> Result<Option<Vec<usize>>> {
        let Some(logins) = self.texts(field)? else { return Ok(None) };
        logins.into_iter().map(|login| self.person(field, login)).collect::<Result<Vec<_>>>().map(Some)
    }

    /// The item that `number` names, or the newest open one of the wanted kind.
    pub(super) fn item(&self, repo: usize, wanted: Wanted) -> Result<&'a Item> {
        self.item_where(repo, wanted, Item::is_open)
    }

    pub(super) fn item_where(
        &self,
        repo: usize,
        wanted: Wanted,
        otherwise: impl Fn(&Item) -> bool,
    ) -> Result<&'a Item> {
        let fits = |item: &&Item| match wanted {
            Wanted::Issue => item.pull.is_none(),
            Wanted::Pull => item.pull.is_some(),
            Wanted::Either => true,
        };
        let items = self.world.repos.get(repo).map(|repo| &repo.items);
        let name = if wanted == Wanted::Pull { "pull request" } else { "issue" };
        if let Some(number) = self.number("number")? {
            let found = items.and_then(|items| items.get(&number)).filter(fits);
            return found.ok_or_else(|| ActError::NotFound(format!("number: {name} {number}")));
        }
        let newest = items.and_then(|items| items.values().rev().filter(fits).find(|item| otherwise(item)));
        newest.ok_or_else(|| ActError::NotFound(format!("a fitting {name}")))
    }

    /// The ids of the labels of a repository with these names.
    pub(super) fn labels(&self, repo: usize, names: &[&str]) -> Result<Vec<u64>> {
        let known = self.world.repos.get(repo).map(|repo| repo.labels.as_slice()).unwrap_or_default();
        let find = |name: &&str| {
            let found = known.iter().find(|label| label.name.eq_ignore_ascii_case(name));
            found.map(|label| label.id).ok_or_else(|| ActError::NotFound(format!("labels: the label {name}")))
        };
        names.iter().map(find).collect()
    }
}
