//! Descriptors over a Unix socket (`SCM_RIGHTS`), as many as there are.
//!
//! In: a connected stream and descriptors. Out: the same at the other end. They go in parcels, since the system takes 253 with one
//! message; each parcel is two bytes with the number of its descriptors, and an empty one is the last.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Sends duplicates of `descriptors`.
pub(super) fn send(stream: &UnixStream, descriptors: &[OwnedFd]) -> io::Result<()> {
    descriptors.chunks(PARCEL).try_for_each(|parcel| send_parcel(stream, parcel))?;
    send_parcel(stream, &[])
}

fn send_parcel(stream: &UnixStream, parcel: &[OwnedFd]) -> io::Result<()> {
    let borrowed: Vec<BorrowedFd<'_>> = parcel.iter().map(OwnedFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !borrowed.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&borrowed)) {
        return Err(io::Error::other("the parcel is too large"));
    }
    let count = (parcel.len() as u16).to_be_bytes();
    match sendmsg(stream, &[IoSlice::new(&count)], &mut control, SendFlags::NOSIGNAL)? {
        2 => Ok(()),
        sent => Err(io::Error::new(ErrorKind::WriteZero, format!("{sent} of 2 bytes were sent"))),
    }
}

/// Receives what `send` sends.
pub(super) fn receive(stream: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut all = Vec::new();
    loop {
        let mut count = [0; 2];
        let mut space = [MaybeUninit::uninit(); SPACE];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(stream, &mut [IoSliceMut::new(&mut count)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let before = all.len();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(parcel) = message {
                all.extend(parcel);
            }
        }
        match received.bytes {
            2 => {}
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            _ => return Err(io::Error::new(ErrorKind::InvalidData, "half a number came")),
        }
        let told = usize::from(u16::from_be_bytes(count));
        if told == 0 {
            return Ok(all);
        }
        let came = all.len() - before;
        if came != told {
            // The system drops what this process may not open.
            let message = format!("{came} of {told} sockets came: is the limit of open files large enough?");
            return Err(io::Error::other(message));
        }
    }
}

/// Descriptors in one message: the system takes no more than 253.
const PARCEL: usize = 200;
const SPACE: usize = rustix::cmsg_space!(ScmRights(PARCEL));

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn as_many_descriptors_arrive_as_were_sent() {
        for count in [0, 1, PARCEL, 2 * PARCEL + 1] {
            let (one, other) = UnixStream::pair().unwrap();
            let sent: Vec<OwnedFd> = (0..count).map(|_| File::open("/dev/null").unwrap().into()).collect();
            send(&one, &sent).unwrap();
            assert_eq!(receive(&other).unwrap().len(), count);
        }
    }

    #[test]
    fn an_end_before_the_last_parcel_is_an_error() {
        let (one, other) = UnixStream::pair().unwrap();
        send_parcel(&one, &[File::open("/dev/null").unwrap().into()]).unwrap();
        drop(one);
        assert_eq!(receive(&other).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}
