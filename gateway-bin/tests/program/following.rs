//! Changes of files while the program serves.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;

use crate::scene::{Folder, GATEWAY, replace, route, run};

fn served() -> (Folder, crate::scene::Running) {
    let folder = Folder::new();
    folder.write("gateway.yaml", GATEWAY).write("r.yaml", route("r", "/", "one"));
    let running = run(&[folder.root()]);
    assert_eq!(running.get("/").body, "one");
    (folder, running)
}

#[test]
fn edits_of_every_sort_are_served() {
    let (folder, running) = served();
    folder.write("r.yaml", route("r", "/", "two"));
    running.until_body("/", "two");
    replace(&folder.path("r.yaml"), &route("r", "/", "three"));
    running.until_body("/", "three");
    // As some editors do: the old one becomes a backup, the new one is written afresh.
    fs::rename(folder.path("r.yaml"), folder.path("r.yaml~")).unwrap();
    folder.write("r.yaml", route("r", "/", "four"));
    running.until_body("/", "four");
    fs::rename(folder.path("r.yaml"), folder.path("other.yaml")).unwrap();
    folder.write("other.yaml", route("r", "/", "five"));
    running.until_body("/", "five");
    fs::hard_link(folder.path("r.yaml~"), folder.path("a.yaml")).unwrap();
    running.until_body("/", "three");
    running.until_said("~ DirectResponse x/r");
    let changes = running.said().matches("- HTTPRoute x/r").count();
    assert_eq!(changes, 0, "it never went away");
}

#[test]
fn files_and_folders_come_and_go() {
    let (folder, running) = served();
    folder.write("new/deep/s.yaml", route("s", "/s", "new"));
    running.until_body("/s", "new");
    running.until_said("+ HTTPRoute x/s accepted");
    folder.write("new/deep/s.yaml", route("s", "/s", "newer"));
    running.until_body("/s", "newer");
    fs::rename(folder.path("new"), folder.path("moved")).unwrap();
    folder.write("moved/deep/s.yaml", route("s", "/s", "moved"));
    running.until_body("/s", "moved");
    fs::remove_dir_all(folder.path("moved")).unwrap();
    running.until_body("/s", "one");
    running.until_said("- HTTPRoute x/s");
    fs::remove_file(folder.path("r.yaml")).unwrap();
    running.until_status("/", 404);
    fs::remove_file(folder.path("gateway.yaml")).unwrap();
    running.until_closed();
}

#[test]
fn what_breaks_serves_as_it_last_was() {
    let (folder, running) = served();
    folder.write("r.yaml", route("r", "no-slash", "refused"));
    running.until_said("(the last good version of HTTPRoute x/r stays in force)");
    assert_eq!(running.get("/").body, "refused", "the DirectResponse is an object of its own, and it is sound");
    folder.write("r.yaml", "kind: [\n");
    running.until_said("more stay in force as they last were)");
    assert_eq!(running.get("/").body, "refused");
    folder.write("r.yaml", route("r", "/", "mended"));
    running.until_body("/", "mended");
    running.until_said("all manifests are in order");
}

#[test]
fn a_given_file_may_be_replaced_go_and_come() {
    let folder = Folder::new();
    folder.write("all.txt", format!("{GATEWAY}---\n{}", route("r", "/", "one")));
    let path = folder.path("all.txt");
    let running = run(&[path.to_str().unwrap()]);
    replace(&path, &format!("{GATEWAY}---\n{}", route("r", "/", "two")));
    running.until_body("/", "two");
    fs::remove_file(&path).unwrap();
    running.until_closed();
    folder.write("all.txt", format!("{GATEWAY}---\n{}", route("r", "/", "three")));
    running.until_body("/", "three");
}

#[test]
fn a_mounted_config_map_swaps_as_one() {
    let folder = Folder::new();
    let version = |name: &str, body: &str| {
        folder.write(&format!("{name}/gateway.yaml"), GATEWAY).write(&format!("{name}/r.yaml"), route("r", "/", body));
    };
    version("..1", "one");
    symlink("..1", folder.path("..data")).unwrap();
    for name in ["gateway.yaml", "r.yaml"] {
        symlink(format!("..data/{name}"), folder.path(name)).unwrap();
    }
    let running = run(&[folder.root()]);
    assert_eq!(running.get("/").body, "one");
    for (name, former, body) in [("..2", "..1", "two"), ("..3", "..2", "three")] {
        version(name, body);
        symlink(name, folder.path("..data_tmp")).unwrap();
        fs::rename(folder.path("..data_tmp"), folder.path("..data")).unwrap();
        fs::remove_dir_all(folder.path(former)).unwrap();
        running.until_body("/", body);
    }
    assert!(!running.said().contains("- HTTPRoute"), "{}", running.said());
}

#[test]
fn a_given_link_to_a_folder_may_be_swapped() {
    let folder = Folder::new();
    for (name, body) in [("v1", "one"), ("v2", "two")] {
        folder.write(&format!("{name}/gateway.yaml"), GATEWAY).write(&format!("{name}/r.yaml"), route("r", "/", body));
    }
    symlink("v1", folder.path("current")).unwrap();
    let running = run(&[folder.path("current").to_str().unwrap()]);
    assert_eq!(running.get("/").body, "one");
    symlink("v2", folder.path("next")).unwrap();
    fs::rename(folder.path("next"), folder.path("current")).unwrap();
    running.until_body("/", "two");
    folder.write("v2/r.yaml", route("r", "/", "three"));
    running.until_body("/", "three");
}

#[test]
fn a_bare_write_does_not_count_until_it_is_closed_or_a_hangup_asks() {
    let (folder, running) = served();
    let mut open = fs::File::create(folder.path("r.yaml")).unwrap();
    open.write_all(route("r", "/", "two").as_bytes()).unwrap();
    folder.write("s.yaml", route("s", "/s", "beside"));
    running.until_body("/s", "beside");
    assert_eq!(running.get("/").body, "one", "its writer is not done");
    running.signal("HUP");
    running.until_body("/", "two");
    open.write_all(format!("---\n{}", route("t", "/t", "late")).as_bytes()).unwrap();
    drop(open);
    running.until_body("/t", "late");
}

#[test]
fn polling_finds_changes_too() {
    let folder = Folder::new();
    folder.write("gateway.yaml", GATEWAY).write("r.yaml", route("r", "/", "one"));
    let running = run(&[folder.root(), "--poll"]);
    folder.write("r.yaml", route("r", "/", "two"));
    running.until_body("/", "two");
    fs::remove_file(folder.path("r.yaml")).unwrap();
    running.until_status("/", 404);
}
