//! The built program judged from outside, over the network and by what it says of itself. Imports none of our crates.
//!
//! In: manifests, and the program `gateway`. Out: verdicts. [`guide`] judges a folder of manifests such as people learn the Gateway
//! API from; the integration tests judge promises that need traffic. What they share: [`program`] starts and watches the program,
//! [`echo`], [`call`] and [`datagram`] stand behind it, [`http`] asks it, [`manifest`] reads and writes what it is given.
//!
//! Nothing here repeats a request by itself, and all traffic stays on loopback addresses of which every run has its own.

pub mod audit;
pub mod cases;
pub mod cluster;
pub mod figures;
pub mod guide;
pub mod process;
pub mod program;

pub mod manifest;

pub mod call;
pub mod datagram;
pub mod echo;

pub mod http;
