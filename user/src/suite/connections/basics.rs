//! What connections do apart from importance (dispatch 7): both ends are in one task.

use super::actor::{connect, serve};
use super::stage::eventually;
use crate::check;
use crate::message::port_with_send;
use crate::port;
use crate::suite::tests;
use crate::time::sleep;
use abi::PortName;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use dispatch::queue::Queue;
use dispatch::sync::{Arc, Mutex};
use xpc::{Connection, Dictionary, Event, Message, Object, Right, SendRight, XpcError, service};

tests! { "xpc_basics":
    messages_arrive_in_order_whatever_thread_sends_them,
    a_suspended_connection_delivers_nothing_until_it_is_resumed,
    a_barrier_follows_the_messages_before_it,
    an_endpoint_in_a_message_leads_back_to_its_listener,
    rights_travel_in_messages,
    a_large_message_arrives_and_one_that_is_too_large_does_not,
    a_client_that_is_turned_away_is_interrupted,
    a_name_that_is_in_use_makes_a_listener_invalid,
    peers_go_on_when_their_listener_is_cancelled,
    transactions_are_counted_for_handlers_and_replies,
    a_handler_is_not_called_by_two_threads_at_once,
    a_service_exits_when_it_is_idle.ends(abi::task::ExitStatus::exited(0)),
}

/// A list to which handlers add.
type Log<T> = Arc<Mutex<Vec<T>>>;

fn log<T>() -> Log<T> {
    Arc::new(Mutex::new(Vec::new()))
}

fn numbered(number: u64) -> Dictionary {
    [("number", Object::UInt64(number))].into_iter().collect()
}

fn number_in(message: &Dictionary) -> u64 {
    message.get_uint64("number").expect("the message has a number")
}

/// Replies with the number of a request.
fn echo(request: &Message) {
    if let Some(mut reply) = request.create_reply() {
        reply.set_uint64("number", number_in(request));
        reply.send();
    }
}

/// Waits for the reply to a request with a number.
fn ask(connection: &Connection, number: u64) {
    let reply = connection.send_with_reply_sync(&numbered(number)).expect("there is a reply");
    check::equal("the number in the reply", number_in(&reply), number);
}

fn messages_arrive_in_order_whatever_thread_sends_them() {
    const MESSAGES: u64 = 200;
    let seen = log();
    let kept = seen.clone();
    let listener = serve("basics", move |message: Message| {
        kept.lock().push(number_in(&message));
        echo(&message);
    });
    let client = connect("basics");
    for number in 0..MESSAGES {
        let (queue, copy) = (Queue::new("sender"), client.clone());
        if number % 2 == 0 {
            queue.sync(|| copy.send(&numbered(number)));
        } else {
            copy.send(&numbered(number));
        }
    }
    ask(&client, MESSAGES);
    check::equal("the messages", &*seen.lock(), &(0..=MESSAGES).collect::<Vec<_>>());
    client.cancel();
    listener.cancel();
}

fn a_suspended_connection_delivers_nothing_until_it_is_resumed() {
    let seen = log();
    let kept = seen.clone();
    let peer = Arc::new(Mutex::new(None::<Connection>));
    let slot = peer.clone();
    let listener = Connection::create_listener("basics", None);
    listener.set_event_handler(move |event| {
        let Event::Peer(peer) = event else { return };
        let kept = kept.clone();
        peer.set_event_handler(move |event| {
            if let Event::Message(message) = event {
                kept.lock().push(number_in(&message));
                echo(&message);
            }
        });
        peer.suspend();
        peer.activate();
        peer.suspend();
        *slot.lock() = Some(peer);
    });
    listener.activate();
    let client = connect("basics");
    client.send(&numbered(1));
    eventually("the client comes", || peer.lock().is_some());
    sleep(20);
    check::equal("messages of a suspended connection", seen.lock().len(), 0);
    let peer = peer.lock().take().expect("the client has come");
    peer.resume();
    sleep(20);
    check::equal("messages of one that is suspended twice", seen.lock().len(), 0);
    // What it sends itself is not held back.
    peer.send(&numbered(2));
    peer.resume();
    ask(&client, 3);
    check::equal("the messages", &*seen.lock(), &vec![1, 3]);
    [client, peer, listener].iter().for_each(Connection::cancel);
}

fn a_barrier_follows_the_messages_before_it() {
    static DONE: AtomicU64 = AtomicU64::new(0);
    let listener = serve("basics", |message: Message| echo(&message));
    let client = Connection::create("basics", None);
    client.set_event_handler(|_| {});
    client.send(&numbered(1));
    client.send_barrier(|| {
        DONE.fetch_add(1, Ordering::Relaxed);
    });
    sleep(20);
    check::equal("barriers before the activation", DONE.load(Ordering::Relaxed), 0);
    client.activate();
    eventually("the barrier is passed", || DONE.load(Ordering::Relaxed) == 1);
    ask(&client, 2);
    client.cancel();
    client.send_barrier(|| {
        DONE.fetch_add(1, Ordering::Relaxed);
    });
    eventually("a barrier of a cancelled connection is passed", || DONE.load(Ordering::Relaxed) == 2);
    listener.cancel();
}

fn an_endpoint_in_a_message_leads_back_to_its_listener() {
    let seen = log();
    // The service calls the client back by the endpoint that the client sends.
    let listener = serve("basics", |message: Message| {
        let endpoint = message.get_endpoint("endpoint").expect("the message has an endpoint");
        let back = Connection::from_endpoint(endpoint, None);
        back.set_event_handler(|_| {});
        back.activate();
        let copy = back.clone();
        back.send_with_reply(&numbered(7), None, move |reply| {
            assert_eq!(number_in(&reply.expect("the client replies")), 7);
            echo_without_number(&message);
            copy.cancel();
        });
    });
    let anonymous = Connection::anonymous(None);
    let kept = seen.clone();
    anonymous.set_event_handler(move |event| {
        let Event::Peer(peer) = event else { return };
        let kept = kept.clone();
        peer.set_event_handler(move |event| match event {
            Event::Message(message) => {
                kept.lock().push(number_in(&message));
                echo(&message);
            }
            Event::Error(error) => {
                assert_eq!(error, XpcError::Invalid);
                kept.lock().push(0);
            }
            Event::Peer(_) => unreachable!("a peer has no clients"),
        });
        peer.activate();
    });
    anonymous.activate();
    let client = connect("basics");
    let mut message = Dictionary::new();
    message.set_endpoint("endpoint", anonymous.endpoint().expect("a listener without a name has one"));
    check::that("the service replies", client.send_with_reply_sync(&message).is_ok());
    eventually("the peer ends with its client", || *seen.lock() == [7, 0]);
    check::that("other connections have no endpoint", client.endpoint().is_none() && listener.endpoint().is_none());
    [anonymous.clone(), client, listener].iter().for_each(Connection::cancel);
    eventually("a cancelled listener has no endpoint", || anonymous.endpoint().is_none());
}

fn echo_without_number(request: &Message) {
    request.create_reply().expect("the sender wants a reply").send();
}

/// A send right that a test gives away.
struct Given(PortName);

impl Right for Given {
    fn name(&self) -> PortName {
        self.0
    }
}

fn rights_travel_in_messages() {
    let listener = serve("basics", |message: Message| {
        let right = message.get_mach_send("right").expect("the message has a right").clone();
        let mut reply = message.create_reply().expect("the sender wants a reply");
        reply.set_mach_send("right", right.clone());
        reply.set_array("both", vec![Object::MachSend(right.clone()), Object::MachSend(right)]);
        reply.send();
    });
    let port = port_with_send();
    let references = || port::get_refs(port.name(), abi::port::MACH_PORT_RIGHT_SEND);
    let client = connect("basics");
    let mut message = Dictionary::new();
    message.set_mach_send("right", SendRight::new(Given(port.name())));
    for _ in 0..10 {
        let reply = client.send_with_reply_sync(&message).expect("the service replies");
        check::equal("the right", reply.get_mach_send("right").map(SendRight::name), Some(port.name()));
        check::equal("the rights", reply.get_array("both").map(<[_]>::len), Some(2));
    }
    drop(message);
    // The service's references go with the message that it handles.
    eventually("only the test has a reference", || references() == Ok(1));
    client.cancel();
    listener.cancel();
}

fn a_large_message_arrives_and_one_that_is_too_large_does_not() {
    const LARGE: usize = 60_000;
    const TOO_LARGE: usize = 100_000;
    let listener = serve("basics", |message: Message| {
        let mut reply = message.create_reply().expect("the sender wants a reply");
        reply.set_data("data", message.get_data("data").expect("the message has data"));
        reply.send();
    });
    let client = connect("basics");
    for size in [LARGE, TOO_LARGE, LARGE] {
        let mut message = Dictionary::new();
        message.set_data("data", &vec![7; size]);
        let seen = client.send_with_reply_sync(&message).map(|reply| reply.get_data("data").map(<[u8]>::len));
        let expected = if size == LARGE { Ok(Some(LARGE)) } else { Err(XpcError::Interrupted) };
        check::equal("the size of the reply", seen, expected);
    }
    client.cancel();
    listener.cancel();
}

fn a_client_that_is_turned_away_is_interrupted() {
    static EVENTS: AtomicU64 = AtomicU64::new(0);
    let listener = Connection::create_listener("basics", None);
    listener.set_event_handler(|event| {
        assert!(!matches!(event, Event::Message(_)), "a listener gets no messages");
    });
    listener.activate();
    let client = Connection::create("basics", None);
    client.set_event_handler(|event| {
        assert!(matches!(event, Event::Error(XpcError::Interrupted | XpcError::Invalid)), "{event:?}");
        EVENTS.fetch_add(1, Ordering::Relaxed);
    });
    client.activate();
    for round in 1..4 {
        check::equal("the reply", client.send_with_reply_sync(&numbered(1)).err(), Some(XpcError::Interrupted));
        eventually("the client is interrupted each time", || EVENTS.load(Ordering::Relaxed) == round);
    }
    client.cancel();
    listener.cancel();
}

fn a_name_that_is_in_use_makes_a_listener_invalid() {
    static EVENTS: AtomicU64 = AtomicU64::new(0);
    let listener = serve("basics", |message: Message| echo(&message));
    let second = Connection::create_listener("basics", None);
    second.set_event_handler(|event| {
        assert!(matches!(event, Event::Error(XpcError::Invalid)), "{event:?}");
        EVENTS.fetch_add(1, Ordering::Relaxed);
    });
    second.activate();
    eventually("the second listener is invalid", || EVENTS.load(Ordering::Relaxed) == 1);
    second.cancel();
    let client = connect("basics");
    ask(&client, 1);
    check::equal("there is one event", EVENTS.load(Ordering::Relaxed), 1);
    client.cancel();
    listener.cancel();
}

fn peers_go_on_when_their_listener_is_cancelled() {
    let listener = serve("basics", |message: Message| echo(&message));
    let client = connect("basics");
    ask(&client, 1);
    listener.cancel();
    sleep(20);
    ask(&client, 2);
    client.cancel();
    // The name is free again.
    eventually("another listener can have the name", || {
        let listener = serve("basics", |message: Message| echo(&message));
        let client = connect("basics");
        let reply = client.send_with_reply_sync(&numbered(3));
        client.cancel();
        listener.cancel();
        reply.is_ok()
    });
}

// The counts of dispatch X-17.
fn transactions_are_counted_for_handlers_and_replies() {
    static KEPT: Mutex<Option<xpc::Reply>> = Mutex::new(None);
    let seen = log();
    let kept = seen.clone();
    let listener = serve("basics", move |message: Message| {
        kept.lock().push(service::transaction_count());
        *KEPT.lock() = message.create_reply();
        kept.lock().push(service::transaction_count());
    });
    let client = connect("basics");
    client.send_with_reply(&numbered(1), None, |reply| assert!(reply.is_ok()));
    eventually("the handler has returned", || seen.lock().len() == 2 && service::transaction_count() == 1);
    check::equal("in the handler, and with a reply", &*seen.lock(), &vec![1, 2]);
    let own = service::Transaction::begin();
    check::equal("with one of the program", service::transaction_count(), 2);
    let reply = KEPT.lock().take();
    reply.expect("the handler has made one").send();
    check::equal("without the reply", service::transaction_count(), 1);
    drop(own);
    check::equal("without anything", service::transaction_count(), 0);
    // A reply that is dropped ends its transaction too.
    static ERRORS: AtomicU64 = AtomicU64::new(0);
    client.send_with_reply(&numbered(1), None, |reply| {
        assert_eq!(reply.err(), Some(XpcError::Interrupted));
        ERRORS.fetch_add(1, Ordering::Relaxed);
    });
    eventually("the handler has returned", || seen.lock().len() == 4 && service::transaction_count() == 1);
    let reply = KEPT.lock().take();
    drop(reply);
    check::equal("without the dropped reply", service::transaction_count(), 0);
    eventually("the client hears of it", || ERRORS.load(Ordering::Relaxed) == 1);
    client.cancel();
    listener.cancel();
}

fn a_handler_is_not_called_by_two_threads_at_once() {
    const MESSAGES: u64 = 50;
    static INSIDE: AtomicU64 = AtomicU64::new(0);
    let queue = Queue::concurrent("everything");
    let listener = Connection::create_listener("basics", Some(&queue));
    listener.set_event_handler(|event| {
        let Event::Peer(peer) = event else { return };
        peer.set_event_handler(|event| {
            let Event::Message(message) = event else { return };
            assert_eq!(INSIDE.fetch_add(1, Ordering::SeqCst), 0, "the handler runs twice");
            crate::time::yield_now();
            INSIDE.fetch_sub(1, Ordering::SeqCst);
            echo(&message);
        });
        peer.activate();
    });
    listener.activate();
    let replies = Arc::new(AtomicU64::new(0));
    let client = connect("basics");
    for number in 0..MESSAGES {
        let replies = replies.clone();
        client.send_with_reply(&numbered(number), Some(&queue), move |reply| {
            assert_eq!(number_in(&reply.expect("the service replies")), number);
            replies.fetch_add(1, Ordering::Relaxed);
        });
    }
    eventually("all replies come", || replies.load(Ordering::Relaxed) == MESSAGES);
    client.cancel();
    listener.cancel();
}

fn a_service_exits_when_it_is_idle() {
    /// Milliseconds without a transaction.
    const IDLE: u64 = 50;
    let listener = serve("basics", |message: Message| echo(&message));
    service::transaction_begin();
    service::exit_when_idle(Duration::from_millis(IDLE));
    sleep(3 * IDLE);
    let client = connect("basics");
    ask(&client, 1);
    service::transaction_end();
    // Twice the time, and as much for a busy machine: the task ends meanwhile, with status 0.
    sleep(100 * IDLE);
    let _ = (&listener, &client);
    panic!("the service has not ended");
}
