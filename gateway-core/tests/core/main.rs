//! The specification made runnable: manifests in, statuses and decisions out. Each test is named after a sentence of the spec.

mod addresses;
mod attachment;
mod backends;
mod certificates;
mod classes;
mod client_validation;
mod cors;
mod default_gateways;
mod dependencies;
mod filters;
mod grants;
mod laws;
mod listener_filters;
mod listener_sets;
mod listeners;
mod malformed;
mod matching;
mod mirrors;
mod ownership;
mod persistence;
mod precedence;
mod protocols;
mod stored;
mod timeouts;
mod trust;
mod world;
