//! .

pub mod admit;
pub mod compile;
pub mod condition;
pub mod decide;
pub mod explain;
pub mod name;
pub mod resource;
pub mod snapshot;
pub mod status;
pub mod support;
