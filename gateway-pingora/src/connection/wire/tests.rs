//! The byte stream over one that gives and takes in pieces as a script has it: what passes is whole and in order, or refused.

use std::collections::VecDeque;

use gateway_core::admit::Arrival;
use gateway_core::snapshot::{Settings, Socket, Transport};

use super::*;
use crate::observe::Counters;

/// A stream that gives `input`, and takes what is written, a few bytes at a time; often it is not ready at first.
struct Halting {
    input: VecDeque<u8>,
    taken: Vec<u8>,
    steps: Steps,
}

/// Numbers that depend on nothing but the seed.
struct Steps(u64);

impl Steps {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 24) as usize % below
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next(256) as u8).collect()
    }
}

impl Halting {
    /// Pending, to be asked again at once; or how much passes now.
    fn poll_some(&mut self, cx: &Context<'_>) -> Poll<usize> {
        match self.steps.next(40) {
            0..10 => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            10..30 => Poll::Ready(1 + self.steps.next(30)),
            _ => Poll::Ready(1 + self.steps.next(20_000)),
        }
    }
}

impl AsyncRead for Halting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let some = ready!(self.poll_some(cx)).min(buf.remaining()).min(self.input.len());
        buf.put_slice(&self.input.drain(..some).collect::<Vec<u8>>());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Halting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let some = ready!(self.poll_some(cx)).min(data.len());
        self.taken.extend_from_slice(&data[..some]);
        Poll::Ready(Ok(some))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Carrier for Halting {
    fn cut(&self) {}

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_some(cx).map(drop)
    }
}

fn wire(seed: u64, input: &[u8]) -> Wire<Halting> {
    let socket = Socket { address: None, port: 80, transport: Transport::Tcp };
    let nobody = ([127, 0, 0, 1], 1).into();
    let arrival = Arrival { socket, tls: None };
    let settings = Settings { max_header_bytes: 1 << 20, ..Settings::default() };
    let connection = Connection::new(arrival, nobody, nobody, Arc::new(settings), Arc::new(Counters::default()));
    let stream = Halting { input: input.iter().copied().collect(), taken: Vec::new(), steps: Steps(seed * 2 + 1) };
    Wire::new(stream, Arc::new(connection), Layers { fd: -1, accepted: SystemTime::now(), tls: None })
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(test);
}

/// Reads to the end, in buffers of all sizes; the error that came first, if any.
async fn read(wire: &mut Wire<Halting>, steps: &mut Steps) -> (Vec<u8>, Option<io::Error>) {
    let mut all = Vec::new();
    loop {
        let mut buffer = vec![0; 1 + steps.next(5000)];
        match wire.read(&mut buffer).await {
            Ok(0) => return (all, None),
            Ok(read) => all.extend_from_slice(&buffer[..read]),
            Err(error) => return (all, Some(error)),
        }
    }
}

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let [.., a, b, c] = (payload.len() as u32).to_be_bytes();
    [&[a, b, c, kind, flags, 0, 0, 0, 1], payload].concat()
}

#[test]
fn what_comes_in_pieces_comes_whole_whatever_protocol_it_is() {
    run(async {
        for seed in 0..400 {
            let mut steps = Steps(seed * 3 + 1);
            let mut input = match seed % 4 {
                0 => b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
                1 => PREFACE[..steps.next(PREFACE.len())].to_vec(),
                2 => PREFACE.to_vec(),
                _ => Vec::new(),
            };
            let is_h2 = input == PREFACE;
            if is_h2 {
                for _ in 0..steps.next(50) {
                    let (kind, length) = (steps.next(2) as u8, 1 + steps.next(300));
                    let payload = steps.bytes(length);
                    input.extend(frame(kind, 4, &payload));
                }
            } else {
                let length = steps.next(20_000);
                input.extend(steps.bytes(length));
            }
            let mut wire = wire(seed, &input);
            let mut start = [0; PREFACE.len()];
            assert!(wire.try_peek(&mut start).await.unwrap());
            assert_eq!(start == *PREFACE, is_h2, "seed {seed}");
            assert_eq!(wire.connection.speaks_h2(), is_h2, "seed {seed}");
            let (came, error) = read(&mut wire, &mut steps).await;
            assert!(error.is_none(), "seed {seed}: {error:?}");
            assert!(came == input, "seed {seed}: {} of {} bytes came", came.len(), input.len());
        }
    });
}

#[test]
fn what_is_written_in_pieces_arrives_whole_and_in_order() {
    run(async {
        for seed in 0..200 {
            let mut steps = Steps(seed * 3 + 1);
            let mut wire = wire(seed, b"");
            let mut written = Vec::new();
            for _ in 0..steps.next(30) {
                let length = [3, 300, 20_000][steps.next(3)];
                let piece = steps.bytes(length);
                if steps.next(2) == 0 {
                    wire.write_all(&piece).await.unwrap();
                } else {
                    let (one, two) = piece.split_at(piece.len() / 3);
                    let took = wire.write_vectored(&[io::IoSlice::new(one), io::IoSlice::new(two)]).await.unwrap();
                    wire.write_all(&piece[took..]).await.unwrap();
                }
                written.extend_from_slice(&piece);
                if steps.next(4) == 0 {
                    wire.flush().await.unwrap();
                    assert!(wire.inner.taken == written, "seed {seed}: all is out after a flush");
                }
            }
            AsyncWriteExt::shutdown(&mut wire).await.unwrap();
            assert!(wire.inner.taken == written, "seed {seed}: {} of {} bytes arrived", wire.inner.taken.len(), written.len());
        }
    });
}

#[test]
fn a_flood_ends_with_a_last_frame_and_is_not_passed_on() {
    run(async {
        for seed in 0..50 {
            let mut steps = Steps(seed * 3 + 1);
            let ping = frame(6, 0, b"12345678");
            let input = [PREFACE.to_vec(), frame(1, 5, b"x"), ping.repeat(3000)].concat();
            let mut wire = wire(seed, &input);
            assert!(wire.try_peek(&mut [0; PREFACE.len()]).await.unwrap());
            let (came, error) = read(&mut wire, &mut steps).await;
            assert_eq!(error.map(|error| error.kind()), Some(io::ErrorKind::InvalidData), "seed {seed}");
            // A thousand are allowed, and a few more for the time that it takes.
            assert!(came.len() < 2000 * ping.len() && input.starts_with(&came), "seed {seed}: {}", came.len());
            assert_eq!(wire.inner.taken, b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\x0b", "seed {seed}");
            assert_eq!(wire.connection.counters.floods.get(), 1);
        }
    });
}
