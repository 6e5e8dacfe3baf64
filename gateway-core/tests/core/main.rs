//! The specification made runnable: manifests in, statuses and decisions out. Each test is named after a sentence of the spec.

mod addresses;
mod attachment;
mod backends;
mod certificates;
mod classes;
mod client_validation;
mod laws;
mod listeners;
mod malformed;
mod matching;
mod performing;
mod protocols;
mod stored;
mod trust;
mod world;
