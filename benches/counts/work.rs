//! What is counted within one process: decisions and changes, among 1,000 routes over 200 hosts.
//!
//! In: a name, and how often. Out: nothing; each answer is checked. The same numbers do the same work, whatever the machine.

use std::fmt;
use std::hint::black_box;
use std::str::FromStr;

use benches::{Universe, compiler, puts, slice};
use gateway_core::admit::{Arrival, admit};
use gateway_core::compile::{Change, Compiler};
use gateway_core::decide::{Decision, decide};
use gateway_core::snapshot::{Socket, Transport, Turn};
use http::Request;
use http::request::Parts;

/// Something to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// `admit` and `decide` of a plain match, 64 requests in turn.
    DecideHot,
    /// The same of a path that no route has.
    DecideNone,
    /// `apply` of a changed HTTPRoute, 64 in turn.
    ApplyRoute,
    /// `apply` of a changed EndpointSlice of 100 endpoints, 64 in turn.
    ApplySlice,
    /// A whole compile of 1,000 routes with their Services and EndpointSlices.
    ApplyWhole,
}

impl Work {
    pub(crate) const ALL: &[Self] = &[Self::DecideHot, Self::DecideNone, Self::ApplyRoute, Self::ApplySlice, Self::ApplyWhole];

    fn name(self) -> &'static str {
        match self {
            Self::DecideHot => "decide/hot64/1000",
            Self::DecideNone => "decide/none/1000",
            Self::ApplyRoute => "apply/route/1000",
            Self::ApplySlice => "apply/slice-of-100/1000",
            Self::ApplyWhole => "apply/whole/1000",
        }
    }

    /// How often it is done at the least: a multiple of the turns there are.
    pub(crate) fn times(self) -> usize {
        match self {
            Self::DecideHot | Self::DecideNone => 64 * 64,
            Self::ApplyRoute | Self::ApplySlice => 64 * 8,
            Self::ApplyWhole => 1,
        }
    }

    /// Does it so often.
    pub(crate) fn perform(self, times: usize) {
        match self {
            Self::DecideHot => decisions(times, |universe, nth| universe.path(nth)),
            Self::DecideNone => decisions(times, |_, _| "/api/v2/nothing".to_owned()),
            Self::ApplyRoute => changes(times, |universe, nth, version| Change::Put(universe.route(nth, version))),
            Self::ApplySlice => changes(times, |_, nth, version| Change::Put(slice(nth, 100, version))),
            Self::ApplyWhole => {
                let objects = Universe::of(ROUTES).objects();
                for _ in 0..times {
                    black_box(compiler().apply(puts(&objects).collect::<Vec<_>>()));
                }
            }
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Work {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|work| work.name() == name).ok_or_else(|| "no such work".to_owned())
    }
}

/// 64 routes, spread over all.
fn hot() -> impl Iterator<Item = usize> {
    (0..64).map(|nth| nth * (ROUTES / 64))
}

fn compiled(universe: Universe) -> Compiler {
    let mut compiler = compiler();
    black_box(compiler.apply(puts(&universe.objects()).collect::<Vec<_>>()));
    compiler
}

fn decisions(times: usize, path: impl Fn(Universe, usize) -> String) {
    let universe = Universe::of(ROUTES);
    let snapshot = compiled(universe).apply([]).snapshot;
    let arrival = Arrival { socket: Socket { address: None, port: 80, transport: Transport::Tcp }, tls: None };
    let heads: Vec<(String, Parts)> = hot()
        .map(|nth| {
            let request = Request::get(path(universe, nth)).header("host", universe.host(nth)).header("accept", "*/*");
            let request = request.header("user-agent", "Mozilla/5.0 (X11; Linux x86_64)").header("accept-encoding", "gzip, br");
            (format!("route-{nth}"), request.body(()).expect("the path is a URI").into_parts().0)
        })
        .collect();
    for at in 0..times {
        let (name, head) = &heads[at % heads.len()];
        let admitted = admit(&snapshot, &arrival, head).expect("it is admitted");
        match black_box(decide(&admitted, head, Turn::take)) {
            Decision::Forward(forward) => assert_eq!(forward.rule.id.route.name.name(), name),
            Decision::Refuse(refusal) => assert_eq!(refusal.reason.status(), 404),
            answer @ Decision::Answer(_) => panic!("{answer:?}"),
        }
    }
}

/// Changes one object after another to another version and back.
fn changes(times: usize, change: impl Fn(Universe, usize, usize) -> Change) {
    let universe = Universe::of(ROUTES);
    let mut compiler = compiled(universe);
    let versions: Vec<Vec<Change>> = (1..3).map(|version| hot().map(|nth| change(universe, nth, version)).collect()).collect();
    let mut held = compiler.apply([]).snapshot;
    for at in 0..times {
        let version = &versions[(at / 64) % 2];
        held = compiler.apply([version[at % 64].clone()]).snapshot;
    }
    black_box(held);
}

const ROUTES: usize = 1_000;
