//! A timeline as a trace file of Perfetto: TrackEvent packets in protobuf.
//!
//! Only the fields that are written are declared, with their numbers from Perfetto's public `.proto` files.

use super::model::{Timeline, object};
use super::record::name_of;
use abi::event::EventRecord;
use prost::Message as _;
use std::collections::BTreeMap;

/// The file: a sequence of packets.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Trace {
    /// The packets.
    #[prost(message, repeated, tag = "1")]
    pub packet: Vec<TracePacket>,
}

/// A packet.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TracePacket {
    /// Nanoseconds.
    #[prost(uint64, optional, tag = "8")]
    pub timestamp: Option<u64>,
    /// Who wrote it.
    #[prost(uint32, optional, tag = "10")]
    pub trusted_packet_sequence_id: Option<u32>,
    /// Something on a track.
    #[prost(message, optional, tag = "11")]
    pub track_event: Option<TrackEvent>,
    /// A track.
    #[prost(message, optional, tag = "60")]
    pub track_descriptor: Option<TrackDescriptor>,
}

/// A track: of a process, a thread, a counter, or with a name only.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TrackDescriptor {
    /// Its number.
    #[prost(uint64, optional, tag = "1")]
    pub uuid: Option<u64>,
    /// Its name.
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
    /// A process.
    #[prost(message, optional, tag = "3")]
    pub process: Option<ProcessDescriptor>,
    /// A thread.
    #[prost(message, optional, tag = "4")]
    pub thread: Option<ThreadDescriptor>,
    /// The track above it.
    #[prost(uint64, optional, tag = "5")]
    pub parent_uuid: Option<u64>,
    /// A counter.
    #[prost(message, optional, tag = "8")]
    pub counter: Option<CounterDescriptor>,
}

/// A process.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ProcessDescriptor {
    /// Its pid.
    #[prost(int32, optional, tag = "1")]
    pub pid: Option<i32>,
    /// Its name.
    #[prost(string, optional, tag = "6")]
    pub process_name: Option<String>,
}

/// A thread.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ThreadDescriptor {
    /// The pid of its process.
    #[prost(int32, optional, tag = "1")]
    pub pid: Option<i32>,
    /// Its number.
    #[prost(int64, optional, tag = "2")]
    pub tid: Option<i64>,
    /// Its name.
    #[prost(string, optional, tag = "5")]
    pub thread_name: Option<String>,
}

/// A counter without a unit.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CounterDescriptor {}

/// Something on a track.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TrackEvent {
    /// What it is known by beside its name.
    #[prost(message, repeated, tag = "4")]
    pub debug_annotations: Vec<DebugAnnotation>,
    /// See [`SLICE_BEGIN`].
    #[prost(int32, optional, tag = "9")]
    pub r#type: Option<i32>,
    /// The track.
    #[prost(uint64, optional, tag = "11")]
    pub track_uuid: Option<u64>,
    /// Categories.
    #[prost(string, repeated, tag = "22")]
    pub categories: Vec<String>,
    /// Its name.
    #[prost(string, optional, tag = "23")]
    pub name: Option<String>,
    /// The value of a counter.
    #[prost(int64, optional, tag = "30")]
    pub counter_value: Option<i64>,
    /// The arrows that it belongs to.
    #[prost(fixed64, repeated, packed = "false", tag = "47")]
    pub flow_ids: Vec<u64>,
}

/// A named value.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DebugAnnotation {
    /// A number.
    #[prost(uint64, optional, tag = "3")]
    pub uint_value: Option<u64>,
    /// A text.
    #[prost(string, optional, tag = "6")]
    pub string_value: Option<String>,
    /// Its name.
    #[prost(string, optional, tag = "10")]
    pub name: Option<String>,
}

/// Type of a [`TrackEvent`]: the beginning of a slice.
pub const SLICE_BEGIN: i32 = 1;
/// The end of the last slice of the track.
pub const SLICE_END: i32 = 2;
/// A moment.
pub const INSTANT: i32 = 3;
/// The value of a counter.
pub const COUNTER: i32 = 4;

/// The category of the events as the kernel recorded them, one instant each.
pub const EVENTS: &str = "event";

/// The only writer of packets.
const SEQUENCE: u32 = 1;

/// Track numbers: the kind of track in the upper half, so that the numbers of different things differ.
const PROCESS: u64 = 1 << 56;
const THREAD: u64 = 2 << 56;
const BOOSTS: u64 = 3 << 56;
const VOUCHERS: u64 = 4 << 56;
const BASES: u64 = 5 << 56;
const KERNEL: u64 = 6 << 56;
const WORK: u64 = 7 << 56;

/// Returns a trace file of a timeline and the events that it was put together from.
pub fn encode(timeline: &Timeline, events: &[EventRecord]) -> Vec<u8> {
    let mut packets = tracks(timeline);
    let mut moments = Vec::new();
    threads(timeline, &mut moments);
    messages(timeline, &mut moments);
    boosts(timeline, &mut moments);
    vouchers(timeline, &mut moments);
    work(timeline, &mut moments);
    moments.extend(events.iter().map(raw_event));
    // A slice that ends at the time at which the next one begins comes first.
    moments.sort_by_key(|packet: &TracePacket| {
        let ends = packet.track_event.as_ref().is_some_and(|event| event.r#type == Some(SLICE_END));
        (packet.timestamp, !ends)
    });
    packets.extend(moments);
    Trace { packet: packets }.encode_to_vec()
}

fn descriptor(uuid: u64, name: &str) -> TrackDescriptor {
    TrackDescriptor { uuid: Some(uuid), name: Some(name.to_owned()), ..TrackDescriptor::default() }
}

fn packet_of(track: TrackDescriptor) -> TracePacket {
    TracePacket { trusted_packet_sequence_id: Some(SEQUENCE), track_descriptor: Some(track), ..TracePacket::default() }
}

fn tracks(timeline: &Timeline) -> Vec<TracePacket> {
    let mut packets = vec![packet_of(descriptor(KERNEL, "kernel")), packet_of(descriptor(VOUCHERS, "vouchers"))];
    for (&pid, task) in &timeline.tasks {
        let process = ProcessDescriptor { pid: Some(pid as i32), process_name: Some(task.name.clone()) };
        let track = TrackDescriptor { process: Some(process), ..descriptor(PROCESS | u64::from(pid), &task.name) };
        packets.push(packet_of(track));
        let counter = TrackDescriptor {
            parent_uuid: Some(PROCESS | u64::from(pid)),
            counter: Some(CounterDescriptor {}),
            ..descriptor(BOOSTS | u64::from(pid), &format!("boosts of {}", timeline.who(pid)))
        };
        packets.push(packet_of(counter));
    }
    for (&number, thread) in &timeline.threads {
        let name = timeline.tasks.get(&thread.pid).map_or("thread", |task| &task.name);
        let described = ThreadDescriptor {
            pid: Some(thread.pid as i32),
            tid: Some(number as i64),
            thread_name: Some(name.to_owned()),
        };
        packets.push(packet_of(TrackDescriptor { thread: Some(described), ..descriptor(THREAD | number, name) }));
        if !thread.bases.is_empty() {
            let counter = TrackDescriptor {
                parent_uuid: Some(PROCESS | u64::from(thread.pid)),
                counter: Some(CounterDescriptor {}),
                ..descriptor(BASES | number, &format!("base priority of thread {number}"))
            };
            packets.push(packet_of(counter));
        }
    }
    packets
}

fn moment(time: u64, event: TrackEvent) -> TracePacket {
    TracePacket {
        timestamp: Some(time),
        trusted_packet_sequence_id: Some(SEQUENCE),
        track_event: Some(event),
        ..TracePacket::default()
    }
}

fn event(kind: i32, track: u64) -> TrackEvent {
    TrackEvent { r#type: Some(kind), track_uuid: Some(track), ..TrackEvent::default() }
}

fn named(kind: i32, track: u64, category: &str, name: String) -> TrackEvent {
    TrackEvent { name: Some(name), categories: vec![category.to_owned()], ..event(kind, track) }
}

fn number(name: &str, value: u64) -> DebugAnnotation {
    DebugAnnotation { name: Some(name.to_owned()), uint_value: Some(value), ..DebugAnnotation::default() }
}

/// Writes a slice, or a moment if it takes no time: its end would come before its beginning otherwise.
fn slice(moments: &mut Vec<TracePacket>, (from, to): (u64, u64), begin: TrackEvent) {
    let track = begin.track_uuid.unwrap_or_default();
    if from == to {
        return moments.push(moment(from, TrackEvent { r#type: Some(INSTANT), ..begin }));
    }
    moments.push(moment(from, begin));
    moments.push(moment(to, event(SLICE_END, track)));
}

fn threads(timeline: &Timeline, moments: &mut Vec<TracePacket>) {
    for (&thread, lane) in &timeline.threads {
        let track = THREAD | thread;
        for run in &lane.runs {
            let name = format!("runs at {}", run.priority);
            let mut begin = named(SLICE_BEGIN, track, "run", name);
            begin.debug_annotations.push(number("priority", run.priority));
            slice(moments, (run.from, run.to), begin);
        }
        for &(time, base) in &lane.bases {
            let value = TrackEvent { counter_value: Some(base as i64), ..event(COUNTER, BASES | thread) };
            moments.push(moment(time.max(timeline.from), value));
        }
    }
}

fn messages(timeline: &Timeline, moments: &mut Vec<TracePacket>) {
    for (place, message) in timeline.messages.iter().enumerate() {
        let flow = place as u64 + 1;
        let sender = if message.sender == 0 { KERNEL } else { THREAD | message.sender };
        let mut sent = named(INSTANT, sender, "message", format!("sends message id {}", message.id));
        sent.flow_ids = vec![flow];
        sent.debug_annotations = vec![number("port", message.port), number("boosts", message.raised.into())];
        moments.push(moment(message.sent, sent));
        if let (Some(receiver), Some(time)) = (message.receiver, message.ended) {
            let mut received =
                named(INSTANT, THREAD | receiver, "message", format!("receives message id {}", message.id));
            received.flow_ids = vec![flow];
            moments.push(moment(time, received));
        }
    }
}

fn boosts(timeline: &Timeline, moments: &mut Vec<TracePacket>) {
    for boost in &timeline.boosts {
        let track = BOOSTS | u64::from(boost.pid);
        let value = TrackEvent { counter_value: Some(boost.boosts as i64), ..event(COUNTER, track) };
        moments.push(moment(boost.time, value));
        let words = format!("{}: boost {} ({})", timeline.who(boost.pid), boost.change, boost.why);
        moments.push(moment(boost.time, named(INSTANT, PROCESS | u64::from(boost.pid), "boost", words)));
    }
}

/// Writes a slice for each voucher, on tracks of their own because their lives overlap.
fn vouchers(timeline: &Timeline, moments: &mut Vec<TracePacket>) {
    for (place, voucher) in timeline.vouchers.iter().enumerate() {
        let track = VOUCHERS | (place as u64 + 1);
        let name = format!("voucher v{}", object(voucher.number));
        let described = TrackDescriptor { parent_uuid: Some(VOUCHERS), ..descriptor(track, &name) };
        moments.push(TracePacket { timestamp: None, ..packet_of(described) });
        slice(moments, (voucher.from, voucher.to.unwrap_or(timeline.to)), named(SLICE_BEGIN, track, "voucher", name));
    }
}

/// Writes a slice for each piece of work that was done, on a track for each queue and thread, below its task: those of
/// one thread do not overlap, or lie in each other.
fn work(timeline: &Timeline, moments: &mut Vec<TracePacket>) {
    let mut tracks = BTreeMap::new();
    for done in &timeline.work {
        let (Some(begun), Some(worker)) = (done.begun, done.worker) else { continue };
        let label = timeline.label(done.pid, done.queue);
        let next = WORK | (tracks.len() as u64 + 1);
        let track = *tracks.entry((done.pid, done.queue, worker)).or_insert_with(|| {
            let parent_uuid = Some(PROCESS | u64::from(done.pid));
            let described = TrackDescriptor { parent_uuid, ..descriptor(next, &format!("queue {label}")) };
            moments.push(TracePacket { timestamp: None, ..packet_of(described) });
            next
        });
        let mut begin = named(SLICE_BEGIN, track, "work", format!("work {} on {label}", done.number));
        if let Some(voucher) = done.voucher {
            begin.debug_annotations.push(number("voucher", timeline.vouchers[voucher].number));
        }
        slice(moments, (begun, done.ended.unwrap_or(timeline.to)), begin);
    }
}

/// Returns an event as the kernel recorded it.
fn raw_event(record: &EventRecord) -> TracePacket {
    let track = if record.thread == 0 { KERNEL } else { THREAD | record.thread };
    let mut instant = named(INSTANT, track, EVENTS, name_of(record.kind).to_owned());
    let arguments = record.arguments.iter().enumerate().filter(|(_, value)| **value != 0);
    instant.debug_annotations = arguments.map(|(place, &value)| number(&format!("argument {place}"), value)).collect();
    moment(record.time, instant)
}
