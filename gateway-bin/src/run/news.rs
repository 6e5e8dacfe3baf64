//! What is said about a change once it is in force: a line for each object.
//!
//! In: the changes of one transaction, and the objects whose verdict is another now. Out: lines such as
//! `+ HTTPRoute team-a/users accepted`. A large change is cut short.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use gateway_core::compile::Change;
use gateway_core::name::ObjectId;

use crate::board::{Board, Verdict};

/// What is to be said.
#[derive(Debug, Default)]
pub(crate) struct News(BTreeMap<ObjectId, Turn>);

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    New,
    Changed,
    Gone,
    /// It is what it was, but what is around it changed.
    Turned,
}

impl News {
    /// What these changes are; `fresh` objects were not there before.
    pub(crate) fn of(changes: &[Change], fresh: &BTreeSet<ObjectId>) -> Self {
        let turns = changes.iter().filter_map(|change| match change {
            Change::Put(object) => {
                let id = object.id();
                let turn = if fresh.contains(&id) { Turn::New } else { Turn::Changed };
                Some((id, turn))
            }
            Change::Remove(id) => Some((id.clone(), Turn::Gone)),
            Change::Fact(_) => None,
        });
        Self(turns.collect())
    }

    /// The verdict on these objects is another now.
    pub(crate) fn turned(&mut self, ids: BTreeSet<ObjectId>) {
        for id in ids {
            self.0.entry(id).or_insert(Turn::Turned);
        }
    }

    /// The lines to say.
    pub(crate) fn lines(&self, board: &Board) -> Vec<String> {
        let more = (self.0.len() > MOST).then(|| format!("… and {} more", self.0.len().saturating_sub(MOST)));
        self.0.iter().take(MOST).map(|(id, turn)| line(id, *turn, board)).chain(more).collect()
    }
}

fn line(id: &ObjectId, turn: Turn, board: &Board) -> String {
    let verdict = match board.verdict(id) {
        Some(Verdict::Accepted) => " accepted".to_owned(),
        Some(Verdict::Faulty(faults)) => {
            let more = if faults.len() > 1 { format!(" (and {} more)", faults.len() - 1) } else { String::new() };
            format!(" {}{more}", faults.first().map_or("", String::as_str))
        }
        None => String::new(),
    };
    match turn {
        Turn::New => format!("+ {id}{verdict}"),
        Turn::Changed => format!("~ {id}{verdict}"),
        Turn::Gone => format!("- {id}"),
        Turn::Turned => format!("! {id}{verdict}"),
    }
}

/// Says a line to the person who watches. Nobody may be there.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// How many lines one transaction gets.
const MOST: usize = 20;

#[cfg(test)]
mod tests {
    use gateway_core::name::{Kind, ObjectName};

    use super::*;

    #[test]
    fn each_object_gets_a_line() {
        let id = |name: &str| ObjectId::new(Kind::HttpRoute, ObjectName::new("a", name));
        let mut news = News::of(&[Change::Remove(id("old"))], &BTreeSet::new());
        news.turned(BTreeSet::from([id("old"), id("other")]));
        let told: Vec<_> = news.0.iter().map(|(id, turn)| line(id, *turn, &Board::default())).collect();
        assert_eq!(told[0], "- HTTPRoute a/old");
        assert!(told[1].starts_with("! HTTPRoute a/other"), "{}", told[1]);
    }
}
