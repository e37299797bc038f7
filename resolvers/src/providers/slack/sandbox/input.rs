//! The input of an act: named fields, each refused by its name when it does not fit.

use serde_json::{Map, Value};

use super::{
    happen::{MessageRef, Refused},
    methods::reactions::valid_name,
    model::{Channel, Ts, User, World},
};
use crate::sandbox::ActError;

/// The longest text of an act.
const LONGEST: usize = 40_000;

pub(super) struct Input<'i>(&'i Map<String, Value>);

fn bad(message: impl Into<String>) -> ActError {
    ActError::BadInput(message.into())
}

impl<'i> Input<'i> {
    /// Refuses every field that is not in `known`: a misspelt one would otherwise do nothing, silently.
    pub(super) fn of(input: &'i Value, known: &[&str]) -> Result<Self, ActError> {
        let object = input.as_object().ok_or_else(|| bad("the input must be an object"))?;
        match object.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(bad(format!("unknown field `{key}`; there are {}", known.join(", ")))),
            None => Ok(Self(object)),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'i str>, ActError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.chars().count() <= LONGEST => Ok(Some(text)),
            Some(Value::String(_)) => Err(bad(format!("`{name}` is longer than {LONGEST} characters"))),
            Some(_) => Err(bad(format!("`{name}` must be a string"))),
        }
    }

    pub(super) fn need(&self, name: &str) -> Result<&'i str, ActError> {
        match self.text(name)? {
            Some(text) if !text.trim().is_empty() => Ok(text),
            Some(_) => Err(bad(format!("`{name}` must not be empty"))),
            None => Err(bad(format!("`{name}` is required"))),
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, ActError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(bad(format!("`{name}` must be true or false"))),
        }
    }

    /// By id, name or "#name".
    pub(super) fn count(&self, name: &str) -> Result<Option<u64>, ActError> {
        let Some(value) = self.0.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
        let wrong = || bad(format!("`{name}` must be a whole number"));
        value.as_u64().map(Some).ok_or_else(wrong)
    }

    pub(super) fn channel<'w>(&self, world: &'w World) -> Result<&'w Channel, ActError> {
        let name = self.need("channel")?;
        world.channel_by_name(name).ok_or_else(|| ActError::NotFound(format!("channel `{name}`")))
    }

    /// By id or handle.
    pub(super) fn needed_user<'w>(&self, world: &'w World) -> Result<&'w User, ActError> {
        let name = self.need("user")?;
        world.user_by_name(name).ok_or_else(|| ActError::NotFound(format!("user `{name}`")))
    }

    /// The user who acts: the named one, otherwise the first person in the channel (or in the workspace).
    pub(super) fn actor(&self, world: &World, channel: Option<&Channel>) -> Result<String, ActError> {
        if self.text("user")?.is_some() {
            return self.needed_user(world).map(|user| user.id.clone());
        }
        let member = channel.and_then(|channel| channel.members.first());
        let first = || world.users.first().map(|user| user.id.clone());
        member.cloned().or_else(first).ok_or_else(|| ActError::NotFound("a user".to_owned()))
    }

    /// The message that `name` gives the ts of, otherwise the newest that somebody wrote into the channel.
    pub(super) fn message_ref(&self, channel: &Channel, name: &str) -> Result<MessageRef, ActError> {
        let missing = |ts: &str| ActError::NotFound(format!("message {ts} in #{}", channel.name));
        let ts = match self.text(name)? {
            None => channel.newest_root().ok_or_else(|| missing("(the newest)"))?,
            Some(text) => {
                let ts: Ts = text.parse().map_err(|()| bad(format!("`{name}` must be like 1700000000.123456")))?;
                channel.messages.get(&ts).map(|_| ts).ok_or_else(|| missing(text))?
            }
        };
        Ok(MessageRef { channel: channel.id.clone(), ts })
    }

    pub(super) fn emoji(&self, name: &str) -> Result<String, ActError> {
        let emoji = self.need(name)?.trim_matches(':').to_owned();
        if valid_name(&emoji) { Ok(emoji) } else { Err(bad(format!("`{name}` is no emoji's name"))) }
    }

    /// A name that a channel may have.
    pub(super) fn channel_name(&self) -> Result<&'i str, ActError> {
        let name = self.need("name")?;
        let allowed =
            |letter: char| letter == '-' || letter == '_' || (letter.is_alphanumeric() && !letter.is_uppercase());
        if name.chars().count() <= 80 && name.chars().all(allowed) {
            return Ok(name);
        }
        Err(bad("`name` must be of lower case letters, digits, `-` and `_`, at most 80"))
    }
}

impl From<Refused> for ActError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoChannel => Self::NotFound("the channel".to_owned()),
            Refused::NoMessage => Self::NotFound("the message".to_owned()),
            Refused::NoUser => Self::NotFound("the user".to_owned()),
            Refused::Archived => bad("the channel is archived"),
            Refused::NameTaken => bad("`name` is taken by another channel"),
            Refused::AlreadyIn => bad("`user` is in the channel already"),
            Refused::AlreadyReacted => bad("`user` has reacted with this emoji already"),
            Refused::NoReaction => bad("`user` has not reacted with this emoji"),
        }
    }
}
