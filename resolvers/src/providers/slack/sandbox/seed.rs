//! Fills a new workspace: the same seed and base give the same world, message for message.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use super::{
    identity::{APP_ID, BOT_ID, BOT_USER, SLACKBOT},
    model::{Channel, Kind, Message, Note, Rank, Ts, User, World, id_of},
    texts::{self, ChannelPlan},
};

/// The messages of the world lie in the days before its base.
const DAYS: u64 = 45;
const DAY_MICROS: u64 = 86_400_000_000;

struct Seeding {
    rng: StdRng,
    base: DateTime<Utc>,
    /// Id and handle of the people who are still there.
    people: Vec<String>,
    bots: Vec<String>,
    /// Id and name of the public channels, for mentions.
    channels: Vec<(String, &'static str)>,
}

pub(super) fn seed(seed: u64, base: DateTime<Utc>, api_root: String) -> World {
    let mut world = World {
        base,
        api_root,
        users: Vec::new(),
        channels: Vec::new(),
        subscriptions: Vec::new(),
        last_channel: 0,
        last_event: 0,
        sockets: Arc::default(),
        outbox: Vec::new(),
    };
    let rng = StdRng::seed_from_u64(seed);
    let mut seeding = Seeding { rng, base, people: Vec::new(), bots: Vec::new(), channels: Vec::new() };
    seeding.users(&mut world);
    let ids: Vec<String> = texts::CHANNELS.iter().map(|_| world.next_channel_id()).collect();
    let named = ids.iter().cloned().zip(&texts::CHANNELS);
    seeding.channels = named.filter(|(_, plan)| !plan.private).map(|(id, plan)| (id, plan.name)).collect();
    for (id, plan) in ids.into_iter().zip(&texts::CHANNELS) {
        let channel = seeding.channel(id, plan);
        world.channels.push(channel);
    }
    let direct = seeding.direct();
    world.channels.extend(direct);
    world
}

impl Seeding {
    fn users(&mut self, world: &mut World) {
        for (number, (real_name, handle, title)) in (1_u64..).zip(texts::PEOPLE) {
            let mut user = self.user(id_of("U0", number), real_name, handle);
            title.clone_into(&mut user.title);
            user.email = Some(format!("{handle}@acme.example"));
            user.rank = match handle {
                "mayapatel" => Rank::PrimaryOwner,
                "ada-brandt" => Rank::Owner,
                "dsokolov" | "nilsandersen" => Rank::Admin,
                "zitahorvat" => Rank::Guest,
                _ => Rank::Member,
            };
            user.deleted = handle == "antonberg";
            if !user.deleted {
                let (text, emoji) = texts::STATUSES.choose(&mut self.rng).copied().unwrap_or_default();
                text.clone_into(&mut user.status_text);
                emoji.clone_into(&mut user.status_emoji);
                user.active = self.rng.random_bool(0.6);
                self.people.push(user.id.clone());
            }
            world.users.push(user);
        }
        for (number, (name, handle)) in (1_001_u64..).zip(texts::BOTS) {
            let mut user = self.user(id_of("U0", number), name, handle);
            user.bot_id = Some(id_of("B0", number));
            self.bots.push(user.id.clone());
            world.users.push(user);
        }
        let mut ours = self.user(BOT_USER.to_owned(), "Mullion", "mullion");
        ours.bot_id = Some(BOT_ID.to_owned());
        ours.active = true;
        world.users.push(ours);
        let slackbot = self.user(SLACKBOT.to_owned(), "Slackbot", "slackbot");
        world.users.push(slackbot);
    }

    fn user(&mut self, id: String, real_name: &str, handle: &str) -> User {
        User {
            name: handle.to_owned(),
            real_name: real_name.to_owned(),
            display_name: real_name.split(' ').next().unwrap_or_default().to_lowercase(),
            title: String::new(),
            email: None,
            zone: texts::ZONES.choose(&mut self.rng).copied().unwrap_or(("UTC", "UTC", 0)),
            color: format!("{:06x}", self.rng.random_range(0..0x00ff_ffff_u32)),
            rank: Rank::Member,
            bot_id: None,
            deleted: false,
            status_text: String::new(),
            status_emoji: String::new(),
            active: false,
            updated: self.base.timestamp() - self.rng.random_range(86_400_i64..8_640_000),
            id,
        }
    }

    fn channel(&mut self, id: String, plan: &ChannelPlan) -> Channel {
        let mut members: Vec<String> = self.people.sample(&mut self.rng, plan.members).cloned().collect();
        members.sort();
        let creator = members.first().cloned().unwrap_or_default();
        members.push(BOT_USER.to_owned());
        let created = self.base.timestamp() - self.rng.random_range(30_000_000_i64..90_000_000);
        let note = |value: &str| Note { value: value.to_owned(), creator: creator.clone(), last_set: created };
        let mut channel = Channel {
            id,
            name: plan.name.to_owned(),
            kind: if plan.private { Kind::Private } else { Kind::Public },
            created,
            updated: created * 1_000,
            topic: note(plan.topic),
            purpose: note(plan.purpose),
            creator,
            members,
            archived: plan.archived,
            previous_names: Vec::new(),
            messages: BTreeMap::new(),
        };
        self.talk(&mut channel, plan.lines, plan.roots);
        channel
    }

    /// One person wrote to the app itself.
    fn direct(&mut self) -> Option<Channel> {
        let user = self.people.first()?.clone();
        let created = self.base.timestamp() - 8_640_000;
        let mut channel = Channel {
            id: id_of("D0", 1),
            name: String::new(),
            kind: Kind::Direct,
            creator: user.clone(),
            created,
            updated: created * 1_000,
            topic: Note::default(),
            purpose: Note::default(),
            members: vec![user, BOT_USER.to_owned()],
            archived: false,
            previous_names: Vec::new(),
            messages: BTreeMap::new(),
        };
        self.talk(&mut channel, &["What is on fire today?", "Show me the builds of `{r}`."], 6);
        Some(channel)
    }

    /// Messages at random times, none younger than an hour before the base.
    fn talk(&mut self, channel: &mut Channel, lines: &[&str], roots: usize) {
        let end = Ts::at(self.base).0.saturating_sub(DAY_MICROS / 24);
        let people: Vec<String> = channel.members.iter().filter(|id| *id != BOT_USER).cloned().collect();
        for _ in 0..roots {
            let wanted = Ts(end - self.rng.random_range(0..DAYS * DAY_MICROS).min(end));
            let ts = channel.free_ts(wanted);
            let by_bot = channel.kind != Kind::Direct && self.rng.random_bool(0.08);
            let authors = if by_bot { self.bots.clone() } else { people.clone() };
            let message = self.message(&authors, &people, lines, ts);
            channel.messages.insert(ts, message);
            if channel.kind != Kind::Direct && self.rng.random_bool(0.27) {
                self.thread(channel, &people, ts, end);
            }
        }
    }

    fn thread(&mut self, channel: &mut Channel, people: &[String], root: Ts, end: u64) {
        let mut at = root;
        for _ in 0..self.rng.random_range(1..8) {
            at = channel.free_ts(Ts(at.0 + self.rng.random_range(20_000_000_u64..3_600_000_000)));
            if at.0 >= end {
                return;
            }
            let mut reply = self.message(people, people, texts::REPLIES, at);
            reply.thread = Some(root);
            channel.messages.insert(at, reply);
        }
    }

    fn message(&mut self, authors: &[String], people: &[String], lines: &[&str], ts: Ts) -> Message {
        let user = authors.choose(&mut self.rng).cloned().unwrap_or_default();
        let text = self.text(lines, people);
        let later = Ts(ts.0 + self.rng.random_range(10_000_000_u64..600_000_000));
        let edited = self.rng.random_bool(0.07).then(|| (user.clone(), later.whole_seconds()));
        let mut message = Message { user, text, edited, ..Message::default() };
        if self.rng.random_bool(0.22) {
            for _ in 0..self.rng.random_range(1..4) {
                let name = texts::REACTIONS.choose(&mut self.rng).copied().unwrap_or("+1");
                if message.reactions.iter().all(|(used, _)| used != name) {
                    let count = self.rng.random_range(1..5).min(people.len());
                    let users = people.sample(&mut self.rng, count).cloned().collect();
                    message.reactions.push((name.to_owned(), users));
                }
            }
        }
        message
    }

    fn text(&mut self, lines: &[&str], people: &[String]) -> String {
        let line = lines.choose(&mut self.rng).copied().unwrap_or_default();
        let person = people.choose(&mut self.rng).map(|id| format!("<@{id}>")).unwrap_or_default();
        let channel = self.channels.choose(&mut self.rng).map(|(id, name)| format!("<#{id}|{name}>"));
        let repo = texts::REPOS.choose(&mut self.rng).copied().unwrap_or_default();
        let number = self.rng.random_range(2..400).to_string();
        // Slack escapes these three, and only these, in what people write.
        let escaped = line.replace(" & ", " &amp; ");
        let filled = escaped.replace("{p}", &person).replace("{r}", repo).replace("{n}", &number);
        filled.replace("{c}", &channel.unwrap_or_default())
    }
}

/// The bots, as `bots.info` knows them: id and the app they belong to.
pub(super) fn app_of(bot_id: &str) -> String {
    if bot_id == BOT_ID { APP_ID.to_owned() } else { bot_id.replacen('B', "A", 1) }
}
