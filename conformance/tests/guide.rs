//! Our own folder of manifests, as odd as those that people write after reading a guide, judged as any such folder is.

use std::path::Path;

use conformance::guide;

#[test]
fn every_numbered_manifest_does_what_is_expected_of_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    let verdicts = guide::judge(&folder).unwrap();
    for verdict in &verdicts {
        println!("{verdict}");
    }
    let failed: Vec<_> = verdicts.iter().filter(|verdict| verdict.is_failed()).map(ToString::to_string).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(verdicts.len(), 17, "sixteen files, and all of them together");
}
