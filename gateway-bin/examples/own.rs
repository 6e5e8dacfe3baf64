//! The whole program, every mode included, with a filter of one's own. In a cluster the controller reads the filter's objects, and the
//! proxies, which have the controller's image unless it is told another, run it.
//!
//! `cargo run -p gateway-bin --example own -- run FOLDER`

use std::process::ExitCode;

use async_trait::async_trait;
use gateway_pingora::{Exchange, Filter, FilterError, Gateway, ResponseHeader};
use serde_json::Value;

/// Tells clients which team answers for what they got.
struct Team(String);

impl Team {
    fn read(spec: &Value) -> Result<Self, String> {
        Ok(Self(spec["name"].as_str().ok_or("a Team needs a name")?.to_owned()))
    }
}

#[async_trait]
impl Filter for Team {
    async fn response(&self, _: &mut Exchange, head: &mut ResponseHeader) -> Result<(), FilterError> {
        Ok(head.insert_header("X-Team", self.0.as_str())?)
    }
}

pub(crate) fn main() -> ExitCode {
    gateway_bin::run(Gateway::builder().filter("example.com", "Team", Team::read))
}
