//! The types of what a tenant has connected: providers and integrations. Providers' types refer to them, so they stand below those.

pub mod integration;
pub mod provider;
