//! Channels between two tasks over the mock kernel. The mock has no notifications and no full queues to wait for: ring 3
//! tests have.

use super::*;
use crate::process::Process;
use crate::qos::{Priority, Qos};
use crate::sys::mock::{Mock, TaskSpec};
use crate::thread;
use crate::voucher;
use abi::PortName;
use abi::code::{MACH_SEND_INVALID_DEST, MACH_SEND_NO_BUFFER};
use abi::message::MsgOption;
use abi::port::{ConstructFlags, Disposition, MACH_PORT_NULL, MACH_PORT_RIGHT_RECEIVE};
use std::string::{String, ToString};
use std::sync::mpsc::{self, Receiver as Events};
use std::sync::{Arc, Mutex};
use std::vec::Vec;

const NONE: MsgOption = MsgOption::empty();
/// More than any test sends, because the mock does not tell of room.
const LIMIT: Option<u32> = Some(1000);

/// What a handler saw.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    event: String,
    class: Qos,
    importance: bool,
}

fn describe(event: &Event) -> String {
    match event {
        Event::Connected => "connected".into(),
        Event::MessageReceived(message) => std::format!("received {}", message.id()),
        Event::MessageSent(message) => std::format!("sent {}", message.id()),
        Event::SendFailed(message, code) => std::format!("failed {} {code:?}", message.id()),
        Event::NotSent(message) => std::format!("not sent {}", message.id()),
        Event::BarrierCompleted => "barrier".into(),
        Event::Disconnected(Lost::Send(_)) => "lost send".into(),
        Event::Disconnected(Lost::Receive(_)) => "lost receive".into(),
        Event::Disconnected(Lost::Reply(_, context)) => std::format!("lost reply {context:?}"),
        Event::Canceled => "cancelled".into(),
        Event::ReplyReceived(_) => "reply received".into(),
        Event::NoSenders => "no senders".into(),
        Event::TerminationRequested => "termination".into(),
    }
}

/// A channel with what its handler saw, and the messages that it got.
struct Side {
    kernel: &'static Mock,
    process: &'static Process,
    channel: Channel,
    seen: Mutex<Events<Seen>>,
    received: Arc<Mutex<Vec<MachMsg>>>,
    port: PortName,
}

impl Side {
    fn new(kernel: &'static Mock) -> Side {
        let process = Process::new(kernel);
        let (sender, seen) = mpsc::channel();
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = received.clone();
        let (channel, port) = Mock::on_thread(process, move || {
            let handler = move |_: &Channel, event: Event| {
                let class = thread::requested().class();
                let seen = Seen {
                    event: describe(&event),
                    class,
                    importance: voucher::copy().is_some_and(|v| v.has_importance()),
                };
                if let Event::MessageReceived(message) = event {
                    kept.lock().unwrap().push(message);
                }
                let _ = sender.send(seen);
            };
            (
                Channel::new("test", None, handler),
                process.kernel.construct(ConstructFlags::IMPORTANCE_RECEIVER, LIMIT).expect("there is room"),
            )
        });
        // The test drops what it got from the handler.
        process.enter();
        Side { kernel, process, channel, seen: Mutex::new(seen), received, port }
    }

    /// Runs a function on a thread of this side's task with a class.
    fn run<R: Send>(&self, class: Qos, run: impl FnOnce(&Channel) -> R + Send) -> R {
        let channel = self.channel.clone();
        let kernel = self.kernel;
        Mock::on_thread(self.process, move || {
            kernel.start_at(Priority::of(class));
            run(&channel)
        })
    }

    fn connect(&self, to: &Side) {
        let right = self.kernel.send_right(to.kernel, to.port);
        let port = self.port;
        self.run(Qos::Legacy, |channel| channel.connect(port, right, None));
    }

    /// Waits for the next event.
    fn next(&self) -> Seen {
        self.seen.lock().unwrap().recv().expect("the handler lives")
    }

    fn events(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.next().event).collect()
    }

    /// Takes a message that the handler got.
    fn message(&self) -> MachMsg {
        self.received.lock().unwrap().remove(0)
    }
}

fn seen(event: &str, class: Qos, importance: bool) -> Seen {
    Seen { event: event.to_string(), class, importance }
}

/// An application, and a daemon whose channel is connected to that of the application.
fn half_pair() -> (Side, Side) {
    let kernel = Mock::new();
    let (app, daemon) = (Side::new(kernel), Side::new(kernel.another(TaskSpec::DAEMON)));
    daemon.connect(&app);
    (app, daemon)
}

/// An application and a daemon with a channel between them.
fn pair() -> (Side, Side) {
    let (app, daemon) = half_pair();
    app.connect(&daemon);
    (app, daemon)
}

#[test]
fn first_message_comes_after_connected_and_in_its_own_context() {
    let (app, daemon) = pair();
    let result = app.run(Qos::UserInteractive, |channel| channel.send_with_result(MachMsg::new(7), NONE));
    assert!(matches!(result, SendResult::Sent));
    assert_eq!(daemon.next(), seen("connected", Qos::UserInitiated, true));
    assert_eq!(daemon.next(), seen("received 7", Qos::UserInitiated, true));
    daemon.run(Qos::Legacy, |_| daemon.message().destroy());
}

#[test]
fn background_thread_donates_nothing_but_its_class_travels() {
    let (app, daemon) = pair();
    app.run(Qos::Background, |channel| channel.send(MachMsg::new(7), NONE));
    assert_eq!(daemon.next(), seen("connected", Qos::Background, false));
    assert_eq!(app.events(2), ["connected", "sent 7"]);
}

#[test]
fn message_without_importance_has_no_class() {
    let (app, daemon) = pair();
    app.run(Qos::UserInitiated, |channel| channel.send(MachMsg::new(7), MsgOption::SEND_NOIMPORTANCE));
    assert_eq!(daemon.next(), seen("connected", Qos::Legacy, false));
}

#[test]
fn reply_is_handled_in_the_context_of_the_request() {
    let (app, daemon) = pair();
    let (sender, answers) = mpsc::channel();
    app.run(Qos::UserInitiated, |channel| {
        let work = move |reply: Result<MachMsg, Disconnected>| {
            let id = reply.map(|reply| reply.id());
            sender.send((id, thread::requested().class())).expect("the test waits");
        };
        assert!(matches!(channel.request(MachMsg::new(10), NONE, None, work), SendResult::Sent));
    });
    assert_eq!(daemon.events(2), ["connected", "received 10"]);
    daemon.run(Qos::Background, |channel| {
        let reply = daemon.message().take_reply().expect("the request asks for a reply");
        assert!(matches!(channel.send_with_result(reply, NONE), SendResult::Sent));
    });
    assert_eq!(answers.recv(), Ok((Ok(110), Qos::UserInitiated)));
    assert!(answers.recv().is_err(), "the closure is gone");
}

#[test]
fn waiting_for_a_reply_takes_one_call_and_changes_nothing() {
    let (app, daemon) = pair();
    let (kernel, server) = (app.kernel, &daemon);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            app.run(Qos::UserInteractive, |channel| {
                for _ in 0..3 {
                    let (result, reply) = channel.send_with_result_and_wait_for_reply(MachMsg::new(10), NONE);
                    assert!(matches!(result, SendResult::Sent));
                    let reply = reply.expect("the daemon replies");
                    assert_eq!((reply.id(), reply.voucher().is_none()), (110, true));
                }
                assert_eq!(thread::requested().class(), Qos::UserInteractive);
                assert!(voucher::copy().is_none());
                kernel.calls()
            })
        });
        assert_eq!(server.next().event, "connected");
        for _ in 0..3 {
            assert_eq!(server.next(), seen("received 10", Qos::UserInitiated, true));
            server.run(Qos::Legacy, |channel| {
                let reply = server.message().take_reply().expect("the request asks for a reply");
                assert!(matches!(channel.send_with_result(reply, NONE), SendResult::Sent));
            });
        }
        assert_eq!(client.join().expect("the client ends"), 0, "set-self calls");
    });
}

#[test]
fn cancellation_tells_of_everything_in_order() {
    let (app, daemon) = pair();
    let (sender, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        app.run(Qos::UserInitiated, |channel| {
            let work = move |reply: Result<MachMsg, Disconnected>| {
                sender.send((reply.map(|_| ()), thread::requested().class())).expect("the test waits");
            };
            channel.request(MachMsg::new(10), NONE, None, work);
        });
        let waiting = scope.spawn(|| {
            app.run(Qos::UserInitiated, |channel| channel.send_and_wait_for_reply(MachMsg::new(11), NONE).is_some())
        });
        assert_eq!(daemon.events(3), ["connected", "received 10", "received 11"]);
        app.run(Qos::Background, |channel| {
            channel.cancel();
            channel.cancel();
        });
        assert!(!waiting.join().expect("the thread is released"), "there is no reply");
    });
    assert_eq!(app.next(), seen("connected", Qos::Legacy, false));
    assert_eq!(app.next(), seen("lost send", Qos::Legacy, false));
    assert_eq!(answers.recv(), Ok((Err(Disconnected), Qos::UserInitiated)));
    assert_eq!(app.events(2), ["lost receive", "cancelled"]);
    app.run(Qos::Legacy, |channel| {
        assert!(matches!(channel.send_with_result(MachMsg::new(12), NONE), SendResult::NotSent(_)));
        channel.send(MachMsg::new(13), NONE);
    });
    assert_eq!(app.next(), seen("not sent 13", Qos::Legacy, false));
    // The replies come too late, and hurt nobody.
    daemon.run(Qos::Legacy, |channel| {
        for _ in 0..2 {
            let reply = daemon.message().take_reply().expect("the request asks for a reply");
            channel.send(reply, NONE);
        }
    });
}

#[test]
fn channel_that_is_connected_after_its_end_gives_everything_back() {
    let (app, daemon) = half_pair();
    let right = app.kernel.send_right(daemon.kernel, daemon.port);
    let port = app.port;
    app.run(Qos::Legacy, Channel::cancel);
    assert_eq!(app.events(2), ["connected", "cancelled"]);
    app.run(Qos::Legacy, |channel| channel.connect(port, right, Some(MachMsg::new(1))));
    assert_eq!(app.events(3), ["lost send", "not sent 1", "lost receive"]);
}

#[test]
fn channel_that_is_connected_and_cancelled_at_once_tells_of_both_rights() {
    const TIMES: usize = 300;
    for _ in 0..TIMES {
        let (app, daemon) = half_pair();
        let right = app.kernel.send_right(daemon.kernel, daemon.port);
        let port = app.port;
        let start = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                app.run(Qos::Legacy, |channel| {
                    start.wait();
                    channel.cancel();
                });
            });
            app.run(Qos::Legacy, |channel| {
                start.wait();
                channel.connect(port, right, None);
            });
        });
        let mut events = app.events(4);
        events.sort();
        assert_eq!(events, ["cancelled", "connected", "lost receive", "lost send"]);
    }
}

#[test]
fn messages_for_a_cancelled_channel_are_destroyed() {
    let (app, daemon) = pair();
    let started = Arc::new(std::sync::Barrier::new(2));
    let gate = started.clone();
    daemon.run(Qos::Legacy, |channel| {
        channel.receive_barrier(move || {
            gate.wait();
            gate.wait();
        });
    });
    started.wait();
    app.run(Qos::UserInitiated, |channel| channel.send(MachMsg::new(7), NONE));
    while !daemon.kernel.is_boosted() {
        std::thread::yield_now();
    }
    daemon.run(Qos::Legacy, |channel| channel.cancel());
    started.wait();
    assert_eq!(daemon.events(5), ["connected", "barrier", "lost send", "lost receive", "cancelled"]);
    // If the message was not received before the cancellation, it dies with the port.
    let destroyed = daemon.process.kernel.mod_refs(daemon.port, MACH_PORT_RIGHT_RECEIVE, -1);
    assert_eq!(destroyed, Ok(()));
    while daemon.kernel.is_boosted() {
        std::thread::yield_now();
    }
    assert!(daemon.received.lock().unwrap().is_empty());
}

#[test]
fn failed_request_is_reported_and_its_reply_given_up() {
    let (app, daemon) = pair();
    // The first message makes the voucher of the process.
    app.run(Qos::UserInitiated, |channel| channel.send(MachMsg::new(9), NONE));
    app.kernel.fail_next_send(MACH_SEND_NO_BUFFER);
    let names = app.kernel.names();
    let (sender, answers) = mpsc::channel();
    app.run(Qos::UserInitiated, |channel| {
        let work = move |reply: Result<MachMsg, Disconnected>| sender.send(reply.map(|_| ())).expect("the test waits");
        let result = channel.request(MachMsg::new(10), NONE, None, work);
        let SendResult::Failed(message, MACH_SEND_NO_BUFFER) = result else { panic!("it fails: {result:?}") };
        message.destroy();
    });
    assert_eq!(answers.recv(), Ok(Err(Disconnected)));
    while app.kernel.names() != names {
        std::thread::yield_now();
    }
    app.kernel.fail_next_send(MACH_SEND_NO_BUFFER);
    app.run(Qos::UserInitiated, |channel| {
        let (result, reply) = channel.send_with_result_and_wait_for_reply(MachMsg::new(11), NONE);
        assert!(reply.is_none());
        let SendResult::Failed(message, MACH_SEND_NO_BUFFER) = result else { panic!("it fails: {result:?}") };
        message.destroy();
    });
    drop(daemon);
}

#[test]
fn dead_peer_is_reported_for_each_message() {
    let (app, daemon) = pair();
    daemon.process.kernel.mod_refs(daemon.port, MACH_PORT_RIGHT_RECEIVE, -1).expect("it is there");
    app.run(Qos::UserInitiated, |channel| channel.send(MachMsg::new(7), NONE));
    let failed = std::format!("failed 7 {MACH_SEND_INVALID_DEST:?}");
    assert_eq!(app.events(2), ["connected", &failed]);
}

#[test]
fn destroyed_message_gives_back_what_it_would_have_moved() {
    let kernel = Mock::new();
    let process = kernel.enter();
    let port = process.kernel.allocate_receive().expect("there is room");
    process.kernel.insert_send(port).expect("there is room");
    let copied = MachMsg::new(1).to(port, Disposition::COPY_SEND).port(port, Disposition::COPY_SEND);
    let before = kernel.references();
    copied.destroy();
    assert_eq!(kernel.references(), before, "copies are not taken before they are sent");
    MachMsg::new(1).to(MACH_PORT_NULL, Disposition::NONE).port(port, Disposition::MOVE_SEND).destroy();
    assert_eq!(kernel.references(), before - 1);
}

#[test]
fn check_in_goes_to_the_destination_that_it_owns() {
    let kernel = Mock::new();
    let (app, service, peer) = (Side::new(kernel), Side::new(kernel.another(TaskSpec::DAEMON)), Side::new(kernel));
    service.connect(&app);
    let to_peer = app.kernel.send_right(peer.kernel, peer.port);
    let to_service = app.kernel.send_right(service.kernel, service.port);
    let port = app.port;
    peer.connect(&app);
    app.run(Qos::Legacy, |channel| {
        let check_in = MachMsg::new(1).to(to_service, Disposition::MOVE_SEND);
        channel.connect(port, to_peer, Some(check_in));
        channel.send(MachMsg::new(2), NONE);
        assert_eq!(channel.checkin_port(), to_service);
    });
    assert_eq!(service.events(2), ["connected", "received 1"]);
    assert_eq!(peer.events(2), ["connected", "received 2"]);
}

#[test]
fn suspended_and_cancelled_channels_are_told_less() {
    let (app, daemon) = pair();
    daemon.run(Qos::Legacy, |channel| {
        channel.suspend();
        channel.request_termination();
        assert!(daemon.seen.lock().unwrap().try_recv().is_err(), "the channel is suspended");
        channel.resume();
    });
    assert_eq!(daemon.events(2), ["connected", "termination"]);
    app.run(Qos::Legacy, |channel| {
        channel.suspend();
        channel.request_termination();
        channel.cancel();
        channel.resume();
    });
    assert_eq!(app.events(4), ["connected", "lost send", "lost receive", "cancelled"]);
}

#[test]
fn flood_waits_in_the_kernel_while_the_handler_is_behind() {
    const MESSAGES: i32 = 200;
    /// Bytes, with those that a message costs besides, of which 256 KiB are the limit.
    const SIZE: usize = 8192 - 512;
    const TAKEN: usize = 33;
    let (app, daemon) = pair();
    daemon.channel.suspend();
    app.run(Qos::UserInitiated, |channel| {
        for id in 0..MESSAGES {
            let bytes = [0; SIZE - abi::message::Header::SIZE];
            assert!(matches!(channel.send_with_result(MachMsg::new(id).bytes(&bytes), NONE), SendResult::Sent));
        }
    });
    while daemon.kernel.waiting(daemon.port) > MESSAGES as usize - TAKEN {
        std::thread::yield_now();
    }
    for _ in 0..1000 {
        assert_eq!(daemon.kernel.waiting(daemon.port), MESSAGES as usize - TAKEN, "the receiver leaves the rest");
        std::thread::yield_now();
    }
    daemon.run(Qos::Legacy, |channel| channel.resume());
    assert_eq!(daemon.next().event, "connected");
    for id in 0..MESSAGES {
        assert_eq!(daemon.next().event, std::format!("received {id}"), "nothing is lost, and the order stays");
        daemon.run(Qos::Legacy, |_| daemon.message().destroy());
    }
    assert_eq!(daemon.kernel.waiting(daemon.port), 0);
}
