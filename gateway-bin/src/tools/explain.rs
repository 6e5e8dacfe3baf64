//! `gateway explain`: which rule would answer a request, and why the others would not.

use std::process::ExitCode;

use gateway_pingora::Builder;

use crate::args::Explain;

pub(crate) fn explain(_flags: &Explain, _builder: Builder) -> anyhow::Result<ExitCode> {
    anyhow::bail!("being written")
}
