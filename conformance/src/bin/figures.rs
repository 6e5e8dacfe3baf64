//! `figures SCRIPTS`: measures what controllers and proxies take, in the cluster that the scripts of a folder (`conformance/cluster`) have
//! up, and prints a table. Run inside the cluster's network; `conformance/figures` does all of that.

use std::env;
use std::path::Path;

use anyhow::{Result, bail};
use conformance::cluster::Cluster;
use conformance::figures::measure;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [scripts] = &arguments[..] else { bail!("usage: figures SCRIPTS") };
    print!("{}", measure(&Cluster::new(Path::new(scripts)))?);
    Ok(())
}
