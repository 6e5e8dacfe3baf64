//! The flows of one socket by their ends, and who makes room for another.
//!
//! In: flows as they begin. Out: the one a datagram belongs to. When as many are there as may be, one of the longest silent goes; those
//! that spoke within the last second stay, and nobody comes in. So clients that ask once and are gone (DNS) do not keep others out.
//!
//! Invariants: at most `most` rows after `make_room` and an insertion; looking for room costs no more than a few looks.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::flow::Flow;
use super::socket::Ends;

/// Flows by their ends.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: HashMap<Ends, (u64, Row)>,
    /// In the order in which they came, or were passed over; some are gone.
    order: VecDeque<(Ends, u64)>,
    next: u64,
}

/// What is known of one flow.
#[derive(Debug)]
pub(super) enum Row {
    /// Its datagrams are forwarded.
    Open {
        flow: Arc<Flow>,
        task: AbortHandle,
        /// The snapshot by which its endpoint was last seen to live.
        checked: u64,
        /// Its listener is gone.
        leave_by: Option<Instant>,
    },
    /// Its datagrams are dropped.
    Refused {
        /// When the last one came.
        at: Instant,
        /// The snapshot that refused it.
        version: u64,
    },
}

/// Whether one more may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Enough,
    /// Another had to go.
    Made,
    None,
}

impl Row {
    fn silence(&self) -> Duration {
        match self {
            Self::Open { flow, .. } => flow.silence(),
            Self::Refused { at, .. } => at.elapsed(),
        }
    }

    fn is_over(&self) -> bool {
        matches!(self, Self::Open { task, .. } if task.is_finished())
    }
}

impl Table {
    pub(super) fn get_mut(&mut self, ends: &Ends) -> Option<&mut Row> {
        self.rows.get_mut(ends).map(|(_, row)| row)
    }

    /// Adds one, in the place of a former one between the same ends.
    pub(super) fn insert(&mut self, ends: Ends, row: Row) {
        self.next += 1;
        self.rows.insert(ends, (self.next, row));
        self.order.push_back((ends, self.next));
        if self.order.len() > 2 * self.rows.len() + SLACK {
            let rows = &self.rows;
            self.order.retain(|(ends, number)| rows.get(ends).is_some_and(|(current, _)| current == number));
        }
    }

    /// Takes away a flow whose task has ended, unless another took its place.
    pub(super) fn remove_ended(&mut self, ends: &Ends) {
        if self.rows.get(ends).is_some_and(|(_, row)| row.is_over()) {
            self.rows.remove(ends);
        }
    }

    /// Lets one of the longest silent go if `most` are there.
    pub(super) fn make_room(&mut self, most: usize) -> Room {
        if self.rows.len() < most {
            return Room::Enough;
        }
        let mut looks = LOOKS.min(self.order.len());
        while let Some((ends, number)) = self.order.pop_front() {
            let Some((_, row)) = self.rows.get(&ends).filter(|(current, _)| *current == number) else { continue };
            if row.silence() >= SILENT || row.is_over() {
                if let Some((_, Row::Open { task, .. })) = self.rows.remove(&ends) {
                    task.abort();
                }
                return Room::Made;
            }
            self.order.push_back((ends, number));
            looks -= 1;
            if looks == 0 {
                break;
            }
        }
        Room::None
    }

    /// All that are open, each with the time by which it has to leave.
    pub(super) fn open(&mut self) -> impl Iterator<Item = (&Flow, &mut Option<Instant>)> {
        self.rows.values_mut().filter_map(|(_, row)| match row {
            Row::Open { flow, leave_by, .. } => Some((&**flow, leave_by)),
            Row::Refused { .. } => None,
        })
    }

    /// Ends those of the leaving for whom it is time. Whether some are left.
    pub(super) fn see_off(&mut self, is_time: impl Fn(&Flow, Instant) -> bool) -> bool {
        let mut are_left = false;
        self.rows.retain(|_, (_, row)| match row {
            Row::Open { flow, task, leave_by: Some(by), .. } => {
                let goes = is_time(flow, *by);
                if goes {
                    task.abort();
                }
                are_left |= !goes;
                !goes
            }
            Row::Open { leave_by: None, .. } | Row::Refused { .. } => true,
        });
        are_left
    }
}

/// Silence after which a flow may have to go.
const SILENT: Duration = Duration::from_secs(1);
/// Flows that are looked at for one that may go.
const LOOKS: usize = 8;
/// What may be gone of a small table.
const SLACK: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(port: u16) -> Ends {
        Ends { peer: ([127, 0, 0, 1], port).into(), local: None }
    }

    fn refused(at: Instant) -> Row {
        Row::Refused { at, version: 1 }
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_silent_makes_room_and_who_just_spoke_stays() {
        let mut table = Table::default();
        for port in 1..=3 {
            assert_eq!(table.make_room(3), Room::Enough);
            table.insert(ends(port), refused(Instant::now()));
        }
        assert_eq!(table.make_room(3), Room::None, "all have just spoken");
        tokio::time::advance(SILENT).await;
        let Some(Row::Refused { at, .. }) = table.get_mut(&ends(1)) else { panic!() };
        *at = Instant::now();
        assert_eq!(table.make_room(3), Room::Made);
        assert!(table.get_mut(&ends(1)).is_some() && table.get_mut(&ends(2)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_come_and_go_the_table_stays_small() {
        let mut table = Table::default();
        for port in 1..=10_000 {
            tokio::time::advance(SILENT).await;
            table.make_room(4);
            table.insert(ends(port), refused(Instant::now()));
        }
        assert!(table.rows.len() == 4 && table.order.len() <= 2 * 4 + SLACK + 1);
    }
}
