//! The bodies of the fuzz targets: no input may panic, and a few laws must hold of each.
//!
//! In: bytes. Out: nothing, or a panic that names the broken law. [`manifests`] reads and compiles what nobody has checked;
//! [`requests`] asks a rich configuration, which `world.yaml` holds, what becomes of heads nobody has checked, and [`streams`] of
//! connections.

mod input;
mod manifests;
mod mutation;
mod requests;
mod streams;
mod world;

pub use self::manifests::manifests;
pub use self::requests::requests;
pub use self::streams::streams;
