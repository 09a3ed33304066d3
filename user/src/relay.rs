//! A service whose work goes on through two queues after its handler has returned, for the monitor and the timeline.
//!
//! album, an app, asks relayd, an adaptive daemon. The handler of relayd's channel passes the request on: two pieces of work
//! of the queue `decode`, then one of the queue `encode`, which replies. Each holds the voucher of the request, and so the
//! boost of relayd lasts up to the reply.
//!
//! With `relay hold` the first piece of work waits for a message with the id [`RELEASE`] to relayd, which the monitor's
//! command `send` can be told to send.

use crate::message::{Message, port_with_send};
use crate::port::{self, Port};
use crate::println;
use crate::sys::Arguments;
use crate::task::{self, Spawn};
use crate::thread::Gate;
use abi::PortName;
use abi::message::MsgOption;
use abi::port::{ConstructFlags, Disposition, MACH_PORT_NULL, PortOptions};
use abi::qos::{AppType, Qos, Role};
use alloc::sync::Arc;
use dispatch::mach::{Channel, Event};
use dispatch::queue::Queue;

/// relayd is ready; its port comes along.
const HELLO: i32 = 7000;
/// What album asks.
const ASK: i32 = 7005;
/// Work of relayd waits for [`RELEASE`].
const HELD: i32 = 7006;
/// Lets relayd go on.
pub const RELEASE: i32 = 7009;

/// Plays the part that the program's name says, or starts both tasks and waits for their end. Returns the exit status.
pub fn run(mut arguments: Arguments) -> i32 {
    match (arguments.next().unwrap_or(""), arguments.next()) {
        ("relayd", argument) => serve(argument == Some("hold")),
        ("album", _) => ask(),
        (_, argument) => direct(argument == Some("hold")),
    }
    0
}

/// Starts the tasks, and waits until the app has its answer.
fn direct(holds: bool) {
    let (reports, exits) = (port_with_send(), [Port::new(), Port::new()]);
    let daemon = Spawn::program_as("relay", "relayd").argument(if holds { "hold" } else { "go" });
    let daemon = daemon.policy(AppType::DaemonAdaptive, Role::Unspecified, Qos::Unspecified).bootstrap(reports.name());
    let daemon = daemon.exit_port(exits[0].name()).start().expect("the daemon starts");
    let hello = Message::receive(reports.name()).expect("the daemon says hello");
    let app = Spawn::program_as("relay", "album").policy(AppType::AppDefault, Role::Foreground, Qos::Unspecified);
    let app = app.bootstrap(hello.descriptor(0).name).exit_port(exits[1].name());
    let app = app.start().expect("the app starts");
    if holds {
        let report = Message::receive(reports.name()).expect("the daemon reports");
        assert_eq!(report.message_id(), HELD, "the daemon holds on");
        println!("album has asked relayd, and work of relayd waits.");
        println!("`why relayd` tells what holds the boost; a message of id {RELEASE} to relayd lets it go on.");
    }
    task::wait_for_exit(exits[1].name()).expect("the app ends");
    task::terminate(daemon).expect("the daemon has not ended");
    task::wait_for_exit(exits[0].name()).expect("the daemon ends");
    [daemon, app].into_iter().for_each(|task| port::destroy_right(task, Disposition::PORT_SEND));
    println!("album has its answer, and the relay is over.");
}

/// What the app does.
fn ask() {
    let reply = Message::copy_send(task::bootstrap_port()).id(ASK).rpc().expect("the daemon replies");
    assert_eq!(reply.message_id(), ASK + 100, "the reply");
}

/// What the daemon does, until it is ended.
fn serve(holds: bool) {
    let flags = (ConstructFlags::IMPORTANCE_RECEIVER | ConstructFlags::INSERT_SEND_RIGHT).bits();
    let options = PortOptions { flags, mpl_qlimit: 0, reserved: [0; 2] };
    let service = port::construct(options, 0).expect("there is room");
    let gate = Arc::new(Gate::new());
    if !holds {
        gate.open();
    }
    let (decode, encode) = (Queue::new("decode"), Queue::new("encode"));
    let channel = Channel::new("relay", None, move |channel: &Channel, event: Event| {
        let Event::MessageReceived(mut message) = event else { return };
        match (message.id(), message.take_reply()) {
            (ASK, Some(reply)) => {
                // The replies leave through the channel, whose handler has returned by then.
                let channel = channel.clone();
                let answer = move || {
                    channel.send_with_result(reply, MsgOption::empty());
                };
                pass_on(&decode, &encode, gate.clone(), holds, answer);
            }
            (RELEASE, _) => gate.open(),
            _ => {}
        }
        message.destroy();
    });
    channel.connect(service, MACH_PORT_NULL, None);
    let hello = Message::copy_send(task::bootstrap_port()).id(HELLO);
    hello.port(service, Disposition::COPY_SEND).send().expect("the parent listens");
    dispatch::main_queue::dispatch_main()
}

/// Passes a request on, from the handler to one queue and from that to another.
fn pass_on(decode: &Queue, encode: &Queue, gate: Arc<Gate>, reports: bool, answer: impl FnOnce() + Send + 'static) {
    decode.run_async(move || {
        if reports {
            report(task::bootstrap_port());
        }
        gate.pass();
    });
    let encode = encode.clone();
    decode.run_async(move || encode.run_async(answer));
}

fn report(to: PortName) {
    Message::copy_send(to).id(HELD).send().expect("the parent listens");
}
