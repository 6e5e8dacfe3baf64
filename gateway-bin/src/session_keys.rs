//! The keys that seal sessions, from a file that is looked at every second.
//!
//! In: a path. Out: its keys, given to the gateway, at the start and whenever they are others; or why it holds none, without a word of
//! what it does hold. While it cannot be read, or holds what is no key, the former keys stay.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_pingora::{Gateway, SessionKey};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

/// Gives the keys of a file to the gateway, and goes on doing so while the runtime lives.
///
/// # Errors
/// Why it holds none.
pub(crate) fn follow(path: &Path, gateway: &Gateway) -> anyhow::Result<()> {
    let what = format!("the session keys of {}", path.display());
    let mut known = read(path).with_context(|| format!("cannot read {what}"))?;
    gateway.seal_sessions(parse(&known).with_context(|| what.clone())?);
    let (path, gateway) = (path.to_owned(), gateway.clone());
    tokio::spawn(async move {
        let mut looks = interval(PAUSE);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = String::new();
        loop {
            looks.tick().await;
            let path = path.clone();
            let Ok(found) = spawn_blocking(move || read(&path)).await else { return };
            let keys = found.and_then(|text| Ok((text != known).then(|| parse(&text)).transpose()?.map(|keys| (text, keys))));
            let error = match keys {
                Ok(Some((text, keys))) => {
                    known = text;
                    gateway.seal_sessions(keys);
                    tracing::info!("{what} are others now");
                    String::new()
                }
                Ok(None) => String::new(),
                Err(error) => format!("{error:#}"),
            };
            if !error.is_empty() && error != told {
                tracing::warn!("{what} stay as they were: {error}");
            }
            told = error;
        }
    });
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        bail!("larger than {LARGEST} bytes");
    }
    Ok(text)
}

/// Reads keys, one a line. Empty lines and those that begin with `#` say nothing.
fn parse(text: &str) -> anyhow::Result<Vec<SessionKey>> {
    let lines = text.lines().map(str::trim).enumerate();
    let stated = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let keys = stated.map(|(index, line)| {
        let secret = STANDARD.decode(line).ok().and_then(|secret| <[u8; 32]>::try_from(secret).ok());
        let secret = secret.with_context(|| format!("line {} is not 32 bytes in base64", index + 1))?;
        Ok(SessionKey::new(&secret))
    });
    let keys = keys.collect::<anyhow::Result<Vec<_>>>()?;
    match keys.len() {
        0 => bail!("it holds no key"),
        // Each is tried on what clients send.
        more if more > MOST => bail!("it holds {more} keys, more than {MOST}"),
        _ => Ok(keys),
    }
}

/// How often the file is looked at.
const PAUSE: Duration = Duration::from_secs(1);
const LARGEST: u64 = 16 << 10;
const MOST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_key_and_a_bad_one_is_told_by_its_number_alone() {
        let key = STANDARD.encode([7; 32]);
        assert_eq!(parse(&format!("# new\n{key}\n\n  {key}\n")).unwrap().len(), 2);
        let error = format!("{:#}", parse(&format!("{key}\nhunter2")).unwrap_err());
        assert_eq!(error, "line 2 is not 32 bytes in base64");
        assert!(parse(&STANDARD.encode([7; 31])).is_err() && parse("# none\n").is_err());
        assert!(parse(&format!("{key}\n").repeat(17)).is_err());
    }
}
