//! The index against a judge that looks at everything: whatever comes and goes, what stands is judged as if it had always stood.

use proptest::prelude::*;

use super::*;

const HOSTS: [Option<&str>; 6] = [None, Some("*.com"), Some("*.a.com"), Some("a.com"), Some("b.a.com"), Some("c.b.a.com")];
const CERTIFICATES: [&[&str]; 4] = [&["*.a.com", "a.com"], &["b.a.com", "*.a.com"], &["b.a.com"], &["c.a.com", "c.b.a.com"]];
const FAMILIES: [Family; 4] = [Family::Plain, Family::Tls, Family::Tls, Family::Tcp];

fn ground(number: usize) -> Ground {
    let address = |last: u8| Some(IpAddr::from([10, 0, 0, last]));
    match number {
        0 => Ground::Own(ObjectName::new("n", "own")),
        1 => Ground::Shared([None].into()),
        2 => Ground::Shared([address(1)].into()),
        3 => Ground::Shared([address(1), address(2)].into()),
        _ => Ground::Shared([address(2), address(3)].into()),
    }
}

fn claim((holder, index, host, family, age): (usize, usize, usize, usize, i64)) -> Claim {
    let family = FAMILIES[family];
    let name = ObjectName::new("n", ["a", "b", "c", "d"][holder]);
    Claim {
        // The age of an object is one.
        rank: Rank { is_set: holder > 1, age: Age::new(None, Some(age % 2 + holder as i64 % 2)), holder: name.clone(), index },
        gateway: name,
        listener: format!("l{index}").into(),
        family,
        hostname: HOSTS[host].map(Into::into).filter(|_| family.has_names()),
        is_https: family == Family::Tls,
        names: CERTIFICATES[(host + index) % CERTIFICATES.len()].iter().map(|name| (*name).into()).collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn verdicts_depend_on_the_claims_that_stand(
        steps in proptest::collection::vec((0..5usize, (0..4usize, 0..3usize, 0..6usize, 0..4usize, 0..1i64), any::<bool>(), any::<bool>()), 1..60)
    ) {
        let mut merge = Merge::default();
        let mut standing: BTreeMap<(Place, Rank), Claim> = BTreeMap::new();
        for (at, stated, stays, settles) in steps {
            let place = Place { port: 443, transport: Transport::Tcp, ground: ground(at) };
            let claim = claim(stated);
            let key = (place.clone(), claim.rank.clone());
            if stays {
                merge.put(&place, claim.clone());
                standing.insert(key, claim);
            } else {
                merge.remove(&place, &claim.rank);
                standing.remove(&key);
            }
            if settles {
                merge.settle();
            }
        }
        merge.settle();
        let mut fresh = Merge::default();
        for ((place, _), claim) in &standing {
            fresh.put(place, claim.clone());
        }
        fresh.settle();
        for (place, rank) in standing.keys() {
            prop_assert_eq!(merge.verdict(place, rank), fresh.verdict(place, rank), "{:?} {:?}", place, rank);
        }
        prop_assert!(merge.touched.is_empty());
        if standing.is_empty() {
            prop_assert!(merge.ports.is_empty());
        }
    }
}

#[test]
fn settling_tells_the_holders_for_which_something_changed() {
    let place = Place { port: 80, transport: Transport::Tcp, ground: ground(1) };
    let mut merge = Merge::default();
    let names = |changed: BTreeSet<ObjectId>| changed.iter().map(ToString::to_string).collect::<Vec<_>>();
    let older = claim((2, 0, 3, 0, 0));
    merge.put(&place, claim((3, 0, 3, 0, 1)));
    merge.put(&place, claim((3, 1, 4, 0, 1)));
    assert!(merge.settle().is_empty(), "nobody else is there");
    merge.put(&place, older.clone());
    assert_eq!(names(merge.settle()), ["ListenerSet n/d"]);
    assert_eq!(merge.verdict(&place, &claim((3, 1, 4, 0, 1)).rank).unwrap().conflict, None);
    merge.remove(&place, &older.rank);
    assert_eq!(names(merge.settle()), ["ListenerSet n/d"], "the next is promoted");
}
