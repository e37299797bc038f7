//! The answering of one call: the world, the call, and the webhooks that it causes; it looks gids up and writes records and
//! lists.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::answer::{ApiError, Reply};
use super::edit::Edit;
use super::records::{Gid, Kind, Ref};
use super::render::{self, Shape};
use super::request::Call;
use super::world::{Origin, World};
use crate::sandbox::{HandshakeAnswer, OutgoingWebhook};

/// The answering of one call.
pub(super) struct Session<'w> {
    pub(super) world: &'w mut World,
    pub(super) api_root: &'w str,
    pub(super) now: DateTime<Utc>,
    pub(super) call: Call,
    /// The target's answer, when the call waited for a handshake.
    pub(super) answer: Option<HandshakeAnswer>,
    pub(super) webhooks: Vec<OutgoingWebhook>,
    pub(super) handshake: Option<OutgoingWebhook>,
}

impl Session<'_> {
    /// The thing of that kind with that gid; `me` is the token's user, who may also be named by e-mail address.
    pub(super) fn find(&self, kind: Kind, what: &str, gid: &str) -> Result<Gid, ApiError> {
        if kind == Kind::User {
            if gid == "me" {
                return Ok(self.world.me);
            }
            if let Some((found, _)) = self.world.users.iter().find(|(_, user)| user.email == gid) {
                return Ok(*found);
            }
        }
        let found = gid.parse().ok().and_then(|gid| self.world.find(gid)).filter(|found| found.kind == kind);
        found.map(|found| found.gid).ok_or_else(|| ApiError::unknown(what, gid))
    }

    /// The same for a query parameter, if it is given.
    pub(super) fn parameter(&self, kind: Kind, name: &str) -> Result<Option<Gid>, ApiError> {
        self.call.parameter(name).map(|gid| self.find(kind, name, gid)).transpose()
    }

    /// The same for a field of `data`.
    pub(super) fn input(&self, kind: Kind, name: &str) -> Result<Option<Gid>, ApiError> {
        self.call.text(name).map(|gid| self.find(kind, name, &gid)).transpose()
    }

    /// The same for a list of gids in `data`.
    pub(super) fn inputs(&self, kind: Kind, name: &str) -> Result<Vec<Gid>, ApiError> {
        let gids: Vec<String> = match self.call.data.get(name) {
            Some(Value::Array(all)) => all.iter().filter_map(super::request::text).collect(),
            Some(other) => {
                super::request::text(other).map(|gids| gids.split(',').map(str::to_owned).collect()).unwrap_or_default()
            }
            None => Vec::new(),
        };
        gids.iter().map(|gid| self.find(kind, name, gid)).collect()
    }

    /// Changes the world on behalf of the token's user.
    pub(super) fn edit<T>(&mut self, how: impl FnOnce(&mut Edit<'_>) -> T) -> T {
        let by = self.world.me;
        let mut edit = Edit::new(self.world, self.now, by, Origin::Call);
        let done = how(&mut edit);
        self.webhooks.extend(edit.finish());
        done
    }

    /// A full record.
    pub(super) fn record(&self, kind: Kind, gid: Gid) -> Value {
        let shape = self.call.selection.as_ref().map_or(Shape::Full, Shape::Fields);
        render::record(self.world, Ref { kind, gid }, shape)
    }

    /// Answers with a full record, if it was found.
    pub(super) fn one(&self, kind: Kind, gid: Result<Gid, ApiError>) -> Result<Reply, ApiError> {
        gid.map(|gid| Reply::ok(self.record(kind, gid)))
    }

    /// Answers with a page of compact records.
    pub(super) fn list(&self, kind: Kind, all: &[Gid]) -> Result<Reply, ApiError> {
        let shape = self.call.selection.as_ref().map_or(Shape::Compact, Shape::Fields);
        let limit = self.limit()?;
        let start = self.call.parameter("offset").map_or(Ok(0), |offset| self.read_offset(offset))?;
        let rest = all.get(start..).unwrap_or_default();
        // Without a limit Asana gives everything, and no paging.
        let page = limit.and_then(|limit| rest.get(..limit)).unwrap_or(rest);
        let data: Vec<Value> =
            page.iter().map(|gid| render::record(self.world, Ref { kind, gid: *gid }, shape)).collect();
        let mut reply = Reply::ok(Value::Array(data));
        if let (Some(_), Some(body)) = (limit, reply.body.as_object_mut()) {
            let next = if page.len() < rest.len() { self.next_page(start + page.len()) } else { Value::Null };
            body.insert("next_page".to_owned(), next);
        }
        Ok(reply)
    }

    fn limit(&self) -> Result<Option<usize>, ApiError> {
        let limit = self.call.parameter("limit").or_else(|| self.call.parameter("offset").map(|_| "100"));
        let Some(limit) = limit else { return Ok(None) };
        match limit.parse() {
            Ok(limit @ 1..=100) => Ok(Some(limit)),
            Ok(_) => Err(ApiError::bad("limit: Must be between 1 and 100")),
            Err(_) => Err(ApiError::bad(format!("limit: Not a number: {limit}"))),
        }
    }

    /// A moment in a parameter: a date and time, a day, or `now`.
    pub(super) fn moment(&self, name: &str) -> Result<Option<DateTime<Utc>>, ApiError> {
        let Some(text) = self.call.parameter(name) else { return Ok(None) };
        if text == "now" {
            return Ok(Some(self.now));
        }
        let day =
            || text.parse::<chrono::NaiveDate>().ok().and_then(|day| day.and_hms_opt(0, 0, 0)).map(|day| day.and_utc());
        let moment = DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc()).or_else(day);
        moment.map(Some).ok_or_else(|| ApiError::bad(format!("{name}: Invalid date: {text}")))
    }

    /// An offset belongs to the list that it was given for.
    fn next_page(&self, position: usize) -> Value {
        let offset = URL_SAFE_NO_PAD.encode(format!("{position}:{}", self.list_check()));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.call.parameters.iter().filter(|(name, _)| name != "offset"));
        query.append_pair("offset", &offset);
        let path = format!("{}?{}", self.call.path, query.finish());
        json!({ "offset": offset, "path": path, "uri": format!("{}{path}", self.api_root) })
    }

    fn read_offset(&self, offset: &str) -> Result<usize, ApiError> {
        let read = URL_SAFE_NO_PAD.decode(offset).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let read = read.as_deref().and_then(|text| text.split_once(':'));
        read.filter(|(_, check)| *check == self.list_check())
            .and_then(|(position, _)| position.parse().ok())
            .ok_or_else(|| ApiError::bad("offset: Your pagination token is invalid."))
    }

    fn list_check(&self) -> String {
        let mut check = super::dice::Dice::new(self.world.seed);
        for byte in self.call.path.bytes() {
            check = super::dice::Dice::new(check.bits() ^ u64::from(byte));
        }
        format!("{:016x}", check.bits())
    }
}
