//! One flow: a connected socket to the endpoint, and the way back to the client.
//!
//! In: datagrams of the client, one by one, and those of the endpoint as they come. Out: each at the other end. An endpoint where
//! nobody listens (ICMP) is taken out of use for a while, and another one of the backend takes the flow over.
//!
//! Invariants: the backend never changes; only the endpoint that was asked can answer.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use gateway_core::admit::Reason;
use gateway_core::decide::StreamForward;
use gateway_core::snapshot::{Backend, Listener};

use super::Datagrams;
use super::socket::{DatagramSocket, Ends, LARGEST};
use crate::crowd::Seat;
use crate::observe::{Fault, StreamRecord};
use crate::upstream::{Attempt, Unfit};

/// A flow that was decided.
#[derive(Debug)]
pub(super) struct Flow {
    ends: Ends,
    forward: StreamForward,
    shared: Arc<Datagrams>,
    course: Mutex<Course>,
    /// Told when the endpoint is another.
    moved: Notify,
    began: Instant,
    /// Milliseconds after that at which something last passed.
    last: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

/// Where it goes now.
#[derive(Debug)]
struct Course {
    way: Arc<Way>,
    tries: u32,
    /// Why the endpoint could not be reached, until it answers.
    fault: Option<Fault>,
}

/// A socket that is connected to an endpoint.
#[derive(Debug)]
struct Way {
    socket: UdpSocket,
    attempt: Attempt,
    has_answered: AtomicBool,
    /// It has not answered since it last could not be reached.
    is_silent: AtomicBool,
}

impl Flow {
    /// Opens the way to an endpoint of the backend that was chosen.
    pub(super) fn open(ends: Ends, forward: StreamForward, shared: Arc<Datagrams>) -> Result<Self, Fault> {
        let mut tried = Vec::new();
        let way = Way::open(&shared, &forward.backend, &forward.listener, &mut tried)?;
        let course = Course { way: Arc::new(way), tries: tried.len() as u32 + 1, fault: None };
        Ok(Self {
            ends,
            forward,
            shared,
            course: Mutex::new(course),
            moved: Notify::new(),
            began: Instant::now(),
            last: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        })
    }

    pub(super) fn listener(&self) -> &Listener {
        &self.forward.listener
    }

    /// How long nothing has passed.
    pub(super) fn silence(&self) -> Duration {
        self.last().elapsed()
    }

    /// Whether the backend still has the endpoint. Of a backend that nobody refers to any longer nothing is known: it counts as alive.
    pub(super) fn endpoint_lives(&self) -> bool {
        let address = self.way().attempt.address();
        let current = self.shared.upstreams.current(&self.forward.backend);
        current.is_none_or(|current| current.endpoints.binary_search(&address).is_ok())
    }

    /// Sends a datagram of the client to the endpoint. False when it could not be.
    pub(super) fn send(&self, datagram: &[u8]) -> bool {
        self.beat();
        let mut way = self.way();
        for _ in 0..MOST_TRIES {
            let Err(error) = way.send(datagram) else {
                self.received.fetch_add(datagram.len() as u64, Ordering::Relaxed);
                return true;
            };
            if error.kind() == ErrorKind::WouldBlock {
                return false;
            }
            // Most errors are of a datagram before, and this one was not looked at.
            if is_unreachable(&error) {
                way = self.move_on(&way, &error);
            }
        }
        false
    }

    /// Brings answers back until nothing passed for the idle time.
    pub(super) async fn run(self: Arc<Self>, socket: Arc<DatagramSocket>, seat: Seat, record: StreamRecord) -> Ends {
        let _presence = Presence::new(Arc::clone(&self), seat, record);
        let idle = sleep_until(self.last() + self.shared.idle);
        tokio::pin!(idle);
        loop {
            let way = self.way();
            tokio::select! {
                ready = way.socket.ready(Interest::READABLE | Interest::ERROR) => match ready {
                    Ok(_) => self.bring_back(&way, &socket).await,
                    // The runtime ends.
                    Err(_) => return self.ends,
                },
                () = self.moved.notified() => {}
                () = &mut idle => {
                    let due = self.last() + self.shared.idle;
                    if due <= Instant::now() {
                        return self.ends;
                    }
                    idle.as_mut().reset(due);
                }
            }
        }
    }

    /// Brings back what is there, up to a bound.
    async fn bring_back(&self, way: &Arc<Way>, socket: &DatagramSocket) {
        for _ in 0..BURST {
            match self.take_answer(way, socket) {
                Ok(None) => {}
                Ok(Some(datagram)) => {
                    let answered = socket.answer(&datagram, &self.ends).await;
                    self.count_answer(datagram.len(), &answered);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if is_unreachable(&error) => {
                    self.move_on(way, &error);
                    return;
                }
                // Told of a datagram that was too large, say. It is gone.
                Err(error) => tracing::debug!(endpoint = %way.attempt.address(), %error, "a datagram was lost"),
            }
        }
    }

    /// Takes one answer and sends it, or gives it back to be sent once the system has room for it.
    fn take_answer(&self, way: &Way, socket: &DatagramSocket) -> io::Result<Option<Vec<u8>>> {
        SCRATCH.with_borrow_mut(|buffer| {
            let count = way.receive(buffer)?;
            self.answered(way);
            let datagram = buffer.get(..count).unwrap_or_default();
            let answered = socket.try_answer(datagram, &self.ends);
            if answered.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
                return Ok(Some(datagram.to_vec()));
            }
            self.count_answer(count, &answered);
            Ok(None)
        })
    }

    fn answered(&self, way: &Way) {
        self.beat();
        if way.is_silent.swap(false, Ordering::Relaxed) {
            self.course().fault = None;
            // The time to a later answer is the client's too.
            if !way.has_answered.swap(true, Ordering::Relaxed) {
                way.attempt.succeeded();
            }
        }
    }

    fn count_answer(&self, bytes: usize, answered: &io::Result<()>) {
        match answered {
            Ok(()) => {
                self.shared.counters.datagrams_sent.add();
                self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
            }
            Err(error) => {
                self.shared.counters.datagrams_dropped.add();
                tracing::debug!(peer = %self.ends.peer, %error, "an answer was lost");
            }
        }
    }

    /// Nobody listens at the end of `from`: another endpoint takes over. Where there is no other, the same may come back.
    fn move_on(&self, from: &Arc<Way>, error: &io::Error) -> Arc<Way> {
        let mut course = self.course();
        if !Arc::ptr_eq(&course.way, from) {
            return Arc::clone(&course.way);
        }
        self.shared.upstreams.refused(&from.attempt);
        from.is_silent.store(true, Ordering::Relaxed);
        course.fault = Some(Fault::Connect(error.to_string().into()));
        let mut tried = vec![from.attempt.address()];
        let backend = self.shared.upstreams.current(&self.forward.backend);
        let backend = backend.unwrap_or_else(|| Arc::clone(&self.forward.backend));
        if let Ok(way) = Way::open(&self.shared, &backend, self.listener(), &mut tried) {
            course.tries += tried.len() as u32;
            course.way = Arc::new(way);
            self.moved.notify_one();
        }
        Arc::clone(&course.way)
    }

    fn way(&self) -> Arc<Way> {
        Arc::clone(&self.course().way)
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn beat(&self) {
        self.last.store(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.began + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }
}

impl Way {
    /// Connects to an endpoint that is not in `tried`. Those that cannot be are added.
    fn open(shared: &Datagrams, backend: &Arc<Backend>, listener: &Listener, tried: &mut Vec<SocketAddr>) -> Result<Self, Fault> {
        let mut last = Fault::Refused(Reason::NoEndpoint);
        for _ in 0..MOST_TRIES {
            let mut attempt = match shared.upstreams.pick(backend, listener, tried) {
                Ok(attempt) if attempt.handshake().is_some() => {
                    return Err(Fault::Internal("datagrams cannot go over TLS".into()));
                }
                Ok(attempt) => attempt,
                Err(Unfit::NoEndpoint) => break,
                Err(Unfit::Broken(why)) => return Err(Fault::Refused(Reason::BrokenBackend(why))),
            };
            let address = attempt.address();
            match connected_to(address) {
                Ok(socket) => {
                    attempt.connected();
                    return Ok(Self { socket, attempt, has_answered: AtomicBool::new(false), is_silent: AtomicBool::new(true) });
                }
                Err(error) if is_unreachable(&error) => {
                    shared.upstreams.refused(&attempt);
                    last = Fault::Connect(error.to_string().into());
                    tried.push(address);
                }
                Err(error) => return Err(Fault::Internal(format!("no socket to {address}: {error}").into())),
            }
        }
        Err(last)
    }

    /// Whether or not it is known that the system has room: asking costs no more than trying.
    fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        SockRef::from(&self.socket).send(datagram)
    }

    /// Takes an answer, or the word that nobody listens. The two are asked for apart: of both at once tokio forgets which it was.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = || (&*SockRef::from(&self.socket)).read(buffer);
        match self.socket.try_io(Interest::READABLE, &mut read) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.socket.try_io(Interest::ERROR, &mut read),
            done => done,
        }
    }
}

/// What will be told of a flow; dropping it is the flow's end.
struct Presence {
    flow: Arc<Flow>,
    _seat: Seat,
    record: Option<StreamRecord>,
}

impl Presence {
    fn new(flow: Arc<Flow>, seat: Seat, record: StreamRecord) -> Self {
        let counters = &flow.shared.counters;
        counters.flows_forwarded.add();
        counters.flows_open.add();
        Self { flow, _seat: seat, record: Some(record) }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let flow = &self.flow;
        flow.shared.counters.flows_open.sub();
        let Some(mut record) = self.record.take() else { return };
        let course = flow.course();
        record.endpoint = Some(course.way.attempt.address());
        record.tries = course.tries;
        record.fault = course.fault.clone();
        record.received_bytes = flow.received.load(Ordering::Relaxed);
        record.sent_bytes = flow.sent.load(Ordering::Relaxed);
        flow.shared.tell(record);
    }
}

fn connected_to(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = if address.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = std::net::UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    socket.connect(address)?;
    UdpSocket::from_std(socket)
}

/// Whether the network says that a datagram cannot reach its endpoint.
fn is_unreachable(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable)
}

thread_local! {
    /// What answers are received on: it is empty again before the task waits.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; LARGEST].into());
}

/// Endpoints, or the same one again, tried for one datagram at most.
const MOST_TRIES: usize = 4;
/// Answers brought back at once.
const BURST: usize = 32;
