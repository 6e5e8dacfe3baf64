//! Full TLS handshakes: a connection for each request, sixteen at a time.
//!
//! In: where TLS is spoken. Out: how many connections were made, answered, and closed by who is measured.

use std::io::Result;
use std::time::Duration;

use super::{Done, Scene};
use crate::client::{Http, Speech};

pub(super) fn run(scene: &Scene<'_>, time: Duration) -> Result<Done> {
    let address = scene.place.https();
    let speech = Speech::tls(Http::One)?;
    super::together(time, 16, move || {
        let speech = speech.clone();
        async move { speech.ask_and_close(address).await }
    })
}
