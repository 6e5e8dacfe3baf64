//! The gateway over real sockets of the loopback interface: manifests in, bytes on the wire out.
//!
//! Every test waits for conditions, never for a time, and is bounded by one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::duplicate_mod, reason = "each of the examples is a program, and several begin with the same")]

mod authority;
mod authorization;
mod backend;
mod backend_tls;
mod calls;
mod client;
mod client_certificates;
mod cors;
mod datagrams;
mod endpoints;
mod examples;
mod extensions;
mod forwarding;
mod hostile;
mod limits;
mod listener_filters;
mod listeners;
mod malformed;
mod mirrors;
mod names;
mod preambles;
mod protocols;
mod retries;
mod sessions;
mod spans;
mod streams;
mod timeouts;
mod tls;
mod world;
