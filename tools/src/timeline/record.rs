//! Events as the kernel streams them.

use abi::event::EventRecord;
use zerocopy::FromBytes;

/// Why a stream of events cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated {
    /// The bytes that are left over at the end.
    pub bytes: usize,
}

/// Decodes a stream of events.
///
/// # Errors
/// [`Truncated`] if the stream ends within an event.
pub fn decode(stream: &[u8]) -> Result<Vec<EventRecord>, Truncated> {
    let chunks = stream.chunks_exact(size_of::<EventRecord>());
    let bytes = chunks.remainder().len();
    if bytes > 0 {
        return Err(Truncated { bytes });
    }
    Ok(chunks.map(|chunk| EventRecord::read_from_bytes(chunk).expect("a chunk has the size of an event")).collect())
}

/// Returns the name of a kind of event, for people.
pub fn name_of(kind: u16) -> &'static str {
    use abi::event::kind::*;
    match kind {
        TASK_BEGUN => "task begun",
        TASK_ENDED => "task ended",
        THREAD_BEGUN => "thread begun",
        THREAD_ENDED => "thread ended",
        TRAP_ENTERED => "trap entered",
        TRAP_LEFT => "trap left",
        THREAD_BLOCKED => "thread blocked",
        THREAD_WOKEN => "thread woken",
        THREAD_CHOSEN => "thread chosen",
        THREAD_PREEMPTED => "thread preempted",
        PRIORITY_CHANGED => "priority changed",
        POLICY_CHANGED => "policy changed",
        MESSAGE_SENT => "message sent",
        MESSAGE_QUEUED => "message queued",
        MESSAGE_RECEIVED => "message received",
        MESSAGE_RETURNED => "message returned",
        MESSAGE_DESTROYED => "message destroyed",
        PORT_MADE => "port made",
        PORT_DIED => "port died",
        RIGHT_MADE => "right made",
        RIGHT_MOVED => "right moved",
        RIGHT_DEAD => "right ended",
        VOUCHER_CREATED => "voucher created",
        VOUCHER_FOUND => "voucher found",
        VOUCHER_ADOPTED => "voucher adopted",
        VOUCHER_RELEASED => "voucher released",
        VOUCHER_DIED => "voucher died",
        BOOST_ADDED => "boost added",
        BOOST_MOVED => "boost moved",
        BOOST_DROPPED => "boost dropped",
        BOOST_DELAYED => "boost delayed",
        TIME_CHARGED => "time charged",
        NOTE => "note",
        _ => "unknown event",
    }
}
