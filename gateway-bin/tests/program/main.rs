//! The built program from outside: given these files and flags, it prints, serves and exits like this.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

mod addresses;
mod api_server;
mod cluster;
mod explain;
mod flags;
mod following;
mod listener_sets;
mod names;
mod quickstart;
mod reading;
mod scene;
mod secrets;
mod sessions;
mod signals;
mod tools;
mod upgrade;
