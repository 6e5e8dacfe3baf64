//! Streams between sockets of the loopback interface, with pipes and without. Every test waits for conditions, and is bounded by a time.

use std::net::Ipv4Addr;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, proptest};
use proptest::{prop_assert, prop_assert_eq};
use socket2::SockRef;
use tokio::io::duplex;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

/// A stream between a client and an endpoint, both in the test's hands.
struct Stream {
    client: TcpStream,
    endpoint: TcpStream,
    pipes: Arc<Pipes>,
    passing: JoinHandle<Passed>,
}

impl Stream {
    async fn over(pipes: Pipes) -> Self {
        Self::open(pipes, Vec::new(), PATIENCE).await
    }

    async fn open(pipes: Pipes, begun: Vec<u8>, idle: Duration) -> Self {
        let pipes = Arc::new(pipes);
        let ((client, ours), (endpoint, theirs)) = (pair().await, pair().await);
        let lent = Arc::clone(&pipes);
        let passing = tokio::spawn(async move { copy(Client::Tcp(ours), Endpoint::Tcp(theirs), &begun, idle, &lent).await });
        Self { client, endpoint, pipes, passing }
    }

    /// Moves so much both ways that pipes are used where there are any.
    async fn warm_up(&mut self) {
        let much = bytes(2 * MUCH, 1);
        for is_up in [true, false] {
            let (from, to) = if is_up { (&mut self.client, &mut self.endpoint) } else { (&mut self.endpoint, &mut self.client) };
            let mut got = vec![0; much.len()];
            let (sent, read) = tokio::join!(from.write_all(&much), to.read_exact(&mut got));
            sent.unwrap();
            read.unwrap();
            assert!(got == much);
        }
    }

    async fn over_by_now(self) -> Passed {
        self.passing.await.unwrap()
    }
}

/// Two ends of a connection, for which the system holds only so much.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (one, other) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let (one, (other, _)) = (one.unwrap(), other.unwrap());
    for end in [&one, &other] {
        SockRef::from(end).set_send_buffer_size(MUCH).unwrap();
        SockRef::from(end).set_recv_buffer_size(MUCH).unwrap();
    }
    (one, other)
}

/// Bytes that look like none of their neighbours.
fn bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..count.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(count);
    bytes
}

/// With pipes after little, without any, where the system gives none, and where it does nothing with them.
fn all_sorts() -> Vec<Pipes> {
    let after = MUCH as u64;
    vec![
        Pipes::new(after, 8),
        Pipes::new(after, 0),
        Pipes::refused(after),
        #[cfg(target_os = "linux")]
        Pipes::useless(after),
    ]
}

fn is_reset(error: &io::Error) -> bool {
    error.kind() == ErrorKind::ConnectionReset
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { timeout(PATIENCE, test).await.expect("the test took too long") });
}

/// After this much pipes are used here.
const MUCH: usize = 256 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn much_passes_both_ways_byte_for_byte_and_is_counted() {
    run(async {
        for (sort, pipes) in all_sorts().into_iter().enumerate() {
            let mut stream = Stream::open(pipes, b"said before".to_vec(), PATIENCE).await;
            let (up, down) = (bytes(8 << 20, 3), bytes((8 << 20) + 17, 5));
            let (mut from_gateway, mut to_gateway) = stream.client.split();
            let (mut from_client, mut to_client) = stream.endpoint.split();
            let (mut got_up, mut got_down) = (Vec::new(), Vec::new());
            tokio::try_join!(
                async { to_gateway.write_all(&up).await.and(to_gateway.shutdown().await) },
                async { to_client.write_all(&down).await.and(to_client.shutdown().await) },
                async { from_client.read_to_end(&mut got_up).await.map(drop) },
                async { from_gateway.read_to_end(&mut got_down).await.map(drop) },
            )
            .unwrap();
            assert!(got_up.strip_prefix(b"said before").is_some_and(|rest| rest == up) && got_down == down);
            let pipes = Arc::clone(&stream.pipes);
            let passed = stream.over_by_now().await;
            assert!(matches!(passed.ended, Ended::Done), "{passed:?}");
            assert_eq!((passed.received, passed.sent), (up.len() as u64 + 11, down.len() as u64));
            assert_eq!(
                pipes.were_used(),
                sort == 0 && cfg!(target_os = "linux"),
                "a test of pipes uses them, and one without does not"
            );
        }
    });
}

#[test]
fn each_half_is_closed_when_its_sender_closes_it_and_the_other_goes_on() {
    run(async {
        for (client_is_first, pipes) in
            [true, false].into_iter().flat_map(|first| all_sorts().into_iter().map(move |pipes| (first, pipes)))
        {
            let mut stream = Stream::over(pipes).await;
            stream.warm_up().await;
            let Stream { client, endpoint, .. } = &mut stream;
            let (first, second) = if client_is_first { (client, endpoint) } else { (endpoint, client) };
            let last = bytes(2 * MUCH + 1, 7);
            let mut got = Vec::new();
            let (sent, read) =
                tokio::join!(async { first.write_all(&last).await.and(first.shutdown().await) }, second.read_to_end(&mut got));
            assert!(sent.is_ok() && read.is_ok() && got == last);
            let answer = bytes(3 * MUCH + 1, 9);
            let mut got = Vec::new();
            let (sent, read) =
                tokio::join!(async { second.write_all(&answer).await.and(second.shutdown().await) }, first.read_to_end(&mut got));
            assert!(sent.is_ok() && read.is_ok() && got == answer);
            let passed = stream.over_by_now().await;
            assert!(matches!(passed.ended, Ended::Done), "{passed:?}");
            let (one, other) = ((2 * MUCH + last.len()) as u64, (2 * MUCH + answer.len()) as u64);
            let expected = if client_is_first { (one, other) } else { (other, one) };
            assert_eq!((passed.received, passed.sent), expected);
        }
    });
}

#[test]
fn a_reset_of_either_side_reaches_the_other_as_one() {
    run(async {
        for client_breaks in [true, false] {
            for pipes in all_sorts() {
                let mut stream = Stream::over(pipes).await;
                stream.warm_up().await;
                let Stream { client, endpoint, passing, .. } = stream;
                let (breaks, mut other) = if client_breaks { (client, endpoint) } else { (endpoint, client) };
                SockRef::from(&breaks).set_linger(Some(Duration::ZERO)).unwrap();
                drop(breaks);
                assert!(is_reset(&other.read(&mut [0; 8]).await.unwrap_err()));
                let passed = passing.await.unwrap();
                match (client_breaks, &passed.ended) {
                    (true, Ended::ByClient(error)) | (false, Ended::ByEndpoint(error)) => assert!(is_reset(error)),
                    (_, ended) => panic!("{ended:?}"),
                }
                assert_eq!((passed.received, passed.sent), (2 * MUCH as u64, 2 * MUCH as u64));
            }
        }
    });
}

#[test]
fn a_reader_that_stops_stops_its_sender_and_gets_all_once_it_reads_on() {
    run(async {
        for pipes in all_sorts() {
            let Stream { mut client, mut endpoint, passing, pipes } = Stream::over(pipes).await;
            let whole = bytes(MUCH + 1, 11).repeat(64);
            let mut sent = 0;
            // Nothing is taken any more: all that lies between the two is full.
            while let Ok(written) = timeout(STOPPED, client.write(&whole[sent..])).await {
                sent += written.unwrap();
            }
            assert!(sent < 32 * MUCH, "{sent} bytes were taken for a reader that reads nothing");
            let (rest, mut got) = (whole[sent..].to_vec(), Vec::with_capacity(whole.len()));
            let (written, read) = tokio::join!(async { client.write_all(&rest).await.and(client.shutdown().await) }, async {
                endpoint.read_to_end(&mut got).await?;
                endpoint.shutdown().await
            });
            assert!(written.is_ok() && read.is_ok() && got == whole);
            let passed = passing.await.unwrap();
            assert_eq!((passed.received, passed.sent), (whole.len() as u64, 0));
            assert!(!pipes.are_in_use());
        }
    });
}

#[test]
fn a_reset_by_who_has_not_read_everything_reaches_the_sender_while_it_waits() {
    run(async {
        for pipes in all_sorts() {
            let Stream { mut client, endpoint, passing, .. } = Stream::over(pipes).await;
            let whole = bytes(MUCH, 11).repeat(64);
            let sending = tokio::spawn(async move { (client.write_all(&whole).await, client) });
            let mut read = 0;
            while read < 2 * MUCH {
                endpoint.readable().await.unwrap();
                read += endpoint.try_read(&mut [0; 4096]).unwrap_or(0);
            }
            SockRef::from(&endpoint).set_linger(Some(Duration::ZERO)).unwrap();
            drop(endpoint);
            let (sent, _client) = sending.await.unwrap();
            assert!(is_reset(&sent.unwrap_err()));
            assert!(matches!(passing.await.unwrap().ended, Ended::ByEndpoint(_)));
        }
    });
}

/// No byte being taken for so long means that none will be: everybody here is on this machine.
const STOPPED: Duration = Duration::from_millis(400);

#[test]
fn while_nothing_passes_no_pipe_is_held_and_after_the_idle_time_both_sides_are_reset() {
    run(async {
        let mut stream = Stream::open(Pipes::new(MUCH as u64, 8), Vec::new(), Duration::from_secs(2)).await;
        stream.warm_up().await;
        let Stream { mut client, mut endpoint, pipes, passing } = stream;
        let began = Instant::now();
        while pipes.are_in_use() {
            assert!(began.elapsed() < PATIENCE);
            tokio::task::yield_now().await;
        }
        assert!(is_reset(&client.read(&mut [0; 8]).await.unwrap_err()));
        assert!(is_reset(&endpoint.read(&mut [0; 8]).await.unwrap_err()));
        assert!(matches!(passing.await.unwrap().ended, Ended::Idle));
    });
}

#[test]
fn what_is_urgent_is_left_out_and_stops_nothing() {
    run(async {
        for pipes in all_sorts() {
            let mut stream = Stream::over(pipes).await;
            stream.warm_up().await;
            for _ in 0..4 {
                let piece = bytes(3 * PIECE, 13);
                let mut got = vec![0; 2 * piece.len()];
                let read = stream.endpoint.read_exact(&mut got);
                let sent = async {
                    stream.client.write_all(&piece).await?;
                    SockRef::from(&stream.client).send_out_of_band(b"!")?;
                    stream.client.write_all(&piece).await
                };
                let (sent, read) = tokio::join!(sent, read);
                sent.unwrap();
                read.unwrap();
                assert!(got[..piece.len()] == piece && got[piece.len()..] == piece);
            }
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sockets_split_as_they_may_give_what_was_sent(
        begun in vec(any::<u8>(), 0..64),
        up in vec(1..60_000_usize, 0..24),
        down in vec(1..60_000_usize, 0..24),
        after in 0..200_000_u64,
        most in 0..3_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (sent_up, sent_down) = (bytes(up.iter().sum(), 17), bytes(down.iter().sum(), 19));
        let (mut got_up, mut got_down) = (Vec::new(), Vec::new());
        let passed = runtime.block_on(async {
            let mut stream = Stream::open(Pipes::new(after, most), begun.clone(), PATIENCE).await;
            let (mut from_gateway, mut to_gateway) = stream.client.split();
            let (mut from_client, mut to_client) = stream.endpoint.split();
            tokio::try_join!(
                write(&mut to_gateway, &sent_up, &up),
                write(&mut to_client, &sent_down, &down),
                async { from_client.read_to_end(&mut got_up).await.map(drop) },
                async { from_gateway.read_to_end(&mut got_down).await.map(drop) },
            )
            .unwrap();
            stream.over_by_now().await
        });
        prop_assert!(got_up == [begun, sent_up].concat() && got_down == sent_down);
        prop_assert_eq!((passed.received, passed.sent), (got_up.len() as u64, got_down.len() as u64));
    }

    #[test]
    fn any_streams_split_as_they_may_give_what_was_sent(
        begun in vec(any::<u8>(), 0..64),
        pieces in vec(1..40_000_usize, 0..12),
        holds in (1..40_000_usize, 1..40_000_usize),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let pulse = Pulse { began: runtime.block_on(async { Instant::now() }), last: AtomicU64::new(0) };
        let way = Way { passed: AtomicU64::new(0), pulse: &pulse };
        let sent = bytes(pieces.iter().sum(), 23);
        let mut got = Vec::new();
        runtime.block_on(async {
            let ((mut sender, from), (to, mut receiver)) = (duplex(holds.0), duplex(holds.1));
            tokio::join!(
                async { write(&mut sender, &sent, &pieces).await.unwrap() },
                async { pass(from, to, &begun, &way).await.map_err(|_| "broken").unwrap() },
                async { receiver.read_to_end(&mut got).await.map(drop).unwrap() },
            );
        });
        prop_assert!(got == [begun, sent].concat());
        prop_assert_eq!(way.passed(), got.len() as u64);
    }
}

/// Writes bytes in pieces, and closes.
async fn write<W: AsyncWrite + Unpin>(to: &mut W, bytes: &[u8], pieces: &[usize]) -> io::Result<()> {
    let mut rest = bytes;
    for piece in pieces {
        let (first, after) = rest.split_at(*piece);
        to.write_all(first).await?;
        rest = after;
    }
    to.shutdown().await
}
