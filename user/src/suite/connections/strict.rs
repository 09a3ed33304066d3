//! Strict replies with real tasks (dispatch 10.I): a daemon may reply to an app from a thread that works for the app's
//! persona alone, if the setting `strict-reply` is on.

use super::actor::{self, stop};
use super::stage::{APP_PERSONA, SYSTEM_PERSONA, Stage};
use crate::message::{Call, Message, port_with_send};
use crate::port::{self, Port};
use crate::suite::tests;
use crate::thread::spawn;
use crate::voucher::{self as right, Recipe};
use crate::{check, names, println, sys};
use abi::PortName;
use abi::code::{MACH_MSG_SUCCESS, MACH_SEND_INVALID_CONTEXT};
use abi::message::{MACH_NOTIFY_SEND_ONCE, MsgOption};
use abi::port::{ConstructFlags, Disposition as D, MACH_PORT_NULL, PortOptions};
use abi::task::ExitStatus;
use abi::voucher::{MACH_VOUCHER_ATTR_BANK_CREATE, MACH_VOUCHER_ATTR_KEY_BANK};
use alloc::format;
use dispatch::mach::{Channel, Event, MachMsg, SendResult};
use dispatch::voucher;
use zerocopy::IntoBytes;

tests! { "xpc_strict":
    a_reply_comes_from_a_thread_that_works_for_the_persona_of_its_request,
}

pub(super) const CHILDREN: &[(&str, fn())] = &[("strict-probe", probe), ("strict-app", app), ("strict-a", daemon)];

/// The names of A's ports: of a channel that uses strict replies, and of one that does not.
const STRICT: &str = "strict";
const PLAIN: &str = "plain";

const NONE: MsgOption = MsgOption::empty();

/// The ids of APP's requests: from where A replies to each.
const HANDLER: i32 = 1;
const BARE_THREAD: i32 = 2;
const OWN_WORK: i32 = 3;
const ADOPTED: i32 = 4;

/// From where A replies, and whether the thread works for the persona of the request there.
const ALL: [(i32, &str, bool); 4] = [
    (HANDLER, "from the handler", true),
    (BARE_THREAD, "without a voucher", false),
    (OWN_WORK, "with a voucher of another persona", false),
    (ADOPTED, "from a thread with the voucher", true),
];

/// Exits with 1 if strict replies are on, and with 0 if they are off. The task has a persona: it sends itself a request
/// with a voucher of its own, and replies without one.
fn probe() {
    let (service, reply) = (port_with_send(), Port::new());
    let request = Message::copy_send(service.name()).reply_to(reply.name(), D::MAKE_SEND_ONCE);
    request.voucher(own_voucher(), D::MOVE_SEND).send().expect("the queue has room");
    let mut received = Message::default();
    let options = MsgOption::RCV_MSG | MsgOption::RCV_VOUCHER | MsgOption::STRICT_REPLY;
    let code = received.call(&Call { options, receive_name: service.name(), ..Call::default() });
    assert!(code.is_success(), "the request is there: {code}");
    match Message::reply(&received).send() {
        Ok(()) => sys::exit(0),
        Err(MACH_SEND_INVALID_CONTEXT) => sys::exit(1),
        Err(code) => panic!("the reply fails: {code}"),
    }
}

/// Makes a voucher that says that the calling task works for itself.
fn own_voucher() -> PortName {
    let recipe = Recipe::new(MACH_VOUCHER_ATTR_KEY_BANK, MACH_VOUCHER_ATTR_BANK_CREATE, PortName(0), []);
    let host = right::host();
    let voucher = right::create(host, recipe.as_bytes()).expect("a voucher is made");
    port::deallocate(host).expect("the name exists");
    voucher
}

/// APP: it sends each request to both ports of A, one after the other.
fn app() {
    actor::app(|| {
        for name in [STRICT, PLAIN] {
            let right = names::look_up(name).expect("A has its port");
            let channel = Channel::new(name, None, |_: &Channel, _| {});
            channel.connect(MACH_PORT_NULL, right, None);
            for (id, from, _) in ALL {
                let sent = channel.request(MachMsg::new(id), NONE, None, move |reply| {
                    let reply = reply.expect("the channel is connected");
                    let was_lost = reply.id() == MACH_NOTIFY_SEND_ONCE && reply.is_from_kernel();
                    stop(&told(if was_lost { "lost" } else { "got" }, name, from));
                    reply.destroy();
                });
                assert!(matches!(sent, SendResult::Sent), "{sent:?}");
                stop(&told("asked", name, from));
            }
        }
    });
}

/// Returns the name of a stop: `what` happened to a reply.
fn told(what: &str, channel: &str, from: &str) -> alloc::string::String {
    format!("{what} {channel} {from}")
}

/// A: it replies to each request from where the request's id says.
fn daemon() {
    actor::join();
    let [_strict, _plain] = [(STRICT, true), (PLAIN, false)].map(|(name, strict)| {
        let flags = (ConstructFlags::IMPORTANCE_RECEIVER | ConstructFlags::INSERT_SEND_RIGHT).bits();
        let port = port::construct(PortOptions { flags, ..PortOptions::default() }, 0).expect("there is room");
        names::register(name, port).expect("the name is free");
        let channel = Channel::new(name, None, move |channel: &Channel, event| {
            if let Event::MessageReceived(mut request) = event {
                let reply = request.take_reply().expect("APP wants a reply");
                reply_from(channel.clone(), name, request.id(), reply);
            }
        });
        if strict {
            channel.use_strict_replies();
        }
        channel.connect(port, MACH_PORT_NULL, None);
        channel
    });
    stop("a is ready");
    actor::rest("a rests");
}

fn reply_from(channel: Channel, name: &'static str, id: i32, reply: MachMsg) {
    let from = ALL.iter().find(|(other, ..)| *other == id).expect("APP knows the ids").1;
    let send = move || {
        let code = match channel.send_with_result(reply, NONE) {
            SendResult::Sent => MACH_MSG_SUCCESS,
            SendResult::Failed(reply, code) => {
                reply.destroy();
                code
            }
            other => panic!("{other:?}"),
        };
        stop(&told(if code.is_success() { "sent" } else { "refused" }, name, from));
        assert!(code.is_success() || code == MACH_SEND_INVALID_CONTEXT, "{code}");
    };
    let of_request = voucher::copy();
    match id {
        HANDLER => send(),
        BARE_THREAD => spawn(send).expect("a thread").join(),
        OWN_WORK => spawn(move || {
            let own = own_voucher();
            right::adopt(own).expect("it is a voucher");
            send();
            port::deallocate(own).expect("the name exists");
        })
        .expect("a thread")
        .join(),
        ADOPTED => spawn(move || {
            voucher::replace(of_request);
            send();
        })
        .expect("a thread")
        .join(),
        _ => panic!("APP sends no other request"),
    }
}

// covers dispatch AE-130
fn a_reply_comes_from_a_thread_that_works_for_the_persona_of_its_request() {
    let stage = Stage::new();
    let is_on = match stage.app("strict-probe").await_exit() {
        status if status == ExitStatus::exited(0) => false,
        status => {
            check::equal("the probe's exit status", status, ExitStatus::exited(1));
            // A test that switches the setting on looks for this line.
            println!("strict replies are on");
            true
        }
    };
    let a = stage.daemon("strict-a");
    stage.pass("a is ready");
    let app = stage.app("strict-app");
    stage.pass("app is ready");
    for channel in [STRICT, PLAIN] {
        for (id, from, has_persona) in ALL {
            let is_sent = has_persona || channel == PLAIN || !is_on;
            let replied = stage.pass(&told(if is_sent { "sent" } else { "refused" }, channel, from));
            check::equal(from, replied.persona == APP_PERSONA, has_persona);
            check::that(from, has_persona || replied.persona == SYSTEM_PERSONA);
            check::equal("there is a voucher in the kernel", replied.in_kernel != 0, id != BARE_THREAD);
            stage.pass(&told(if is_sent { "got" } else { "lost" }, channel, from));
            stage.pass(&told("asked", channel, from));
        }
    }
    app.end();
    a.end();
}
