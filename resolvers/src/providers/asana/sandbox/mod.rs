//! The stand-in for Asana's API: a seeded world, the calls, the events and the webhooks of it.

mod dice;
mod edit;
mod edit_project;
mod events;
mod fields;
mod hooks;
mod node;
mod records;
mod render;
mod seed;
mod task_fields;
mod words;
mod world;
