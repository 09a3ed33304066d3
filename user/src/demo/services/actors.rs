//! The three programs. But for the reports they are what anyone would write: no call here concerns a voucher or a boost.

use super::report::{self, Event, tell};
use super::stage::{CODECD, IMAGED, PHOTOS};
use crate::demo::actors::Work;
use dispatch::activity::{Activity, ActivityFlags, Parent};
use dispatch::main_queue::dispatch_main;
use dispatch::qos::Qos;
use dispatch::queue::Queue;
use dispatch::thread::set_qos_class_self;
use xpc::{Connection, Dictionary, Event as XpcEvent, Message, XpcError};

/// The names of the services.
pub(super) const THUMBNAILS: &str = "org.example.thumbnails";
pub(super) const DECODER: &str = "org.example.decoder";

/// Microseconds of work: of imaged's blocks, of its handler of the reply, and of codecd.
const SCALING: u64 = 400;
const COMPOSING: u64 = 600;
const KEEPING: u64 = 1000;
const DECODING: u64 = 2000;

/// Serves a name: the handler of messages is the same for all clients.
fn serve(name: &str, handler: impl FnMut(Message) + Clone + Send + 'static) -> Connection {
    let listener = Connection::create_listener(name, None);
    listener.set_event_handler(move |event| {
        let XpcEvent::Peer(peer) = event else { return };
        let mut handler = handler.clone();
        peer.set_event_handler(move |event| {
            if let XpcEvent::Message(request) = event {
                handler(request);
            }
        });
        peer.activate();
    });
    listener.activate();
    listener
}

/// Connects to a service.
fn connect(name: &str) -> Connection {
    let connection = Connection::create(name, None);
    connection.set_event_handler(|_| {});
    connection.activate();
    connection
}

/// photos, an app: its main thread asks for a thumbnail, as an activity.
pub(super) fn photos() {
    set_qos_class_self(Qos::UserInteractive, 0).expect("the class exists");
    let service = connect(THUMBNAILS);
    report::hello(PHOTOS);
    tell(PHOTOS, Event::Ready);
    let request: Dictionary = [("picture", "beach")].into_iter().collect();
    Activity::create("show a thumbnail", Parent::None, ActivityFlags::empty()).apply(|| {
        service.send_with_reply(&request, None, |reply| {
            assert_eq!(reply.expect("a thumbnail comes").get_int64("size"), Some(2 * 21));
            tell(PHOTOS, Event::HasAnswer);
        });
        tell(PHOTOS, Event::Asked);
    });
    tell(PHOTOS, Event::Over);
}

/// imaged, a service: its handler goes on through two queues and asks another service before it replies.
#[derive(Clone)]
struct Thumbnails {
    work: Work,
    scale: Queue,
    store: Queue,
    decoder: Connection,
}

impl Thumbnails {
    fn handle(self, request: Message) {
        tell(IMAGED, Event::Handles);
        let queue = self.scale.clone();
        queue.run_async(move || self.scale(request));
    }

    fn scale(self, request: Message) {
        tell(IMAGED, Event::Scales);
        self.work.for_microseconds(SCALING);
        let queue = self.store.clone();
        queue.run_async(move || self.ask(request));
    }

    fn ask(self, request: Message) {
        let picture: Dictionary = [("picture", request.get_string("picture").unwrap_or(""))].into_iter().collect();
        let (decoder, queue) = (self.decoder.clone(), self.store.clone());
        decoder.send_with_reply(&picture, Some(&queue), move |part| self.answer(&request, part));
        tell(IMAGED, Event::Passed);
    }

    fn answer(self, request: &Message, part: Result<Dictionary, XpcError>) {
        tell(IMAGED, Event::HasPart);
        self.work.for_microseconds(COMPOSING);
        // Without a part there is no reply, and the client is told that it was interrupted.
        let (Ok(part), Some(mut reply)) = (part, request.create_reply()) else { return };
        reply.set_int64("size", 2 * part.get_int64("size").unwrap_or(0));
        reply.send();
        let queue = self.scale.clone();
        queue.run_async(move || self.keep());
        tell(IMAGED, Event::Answered);
    }

    fn keep(self) {
        self.work.for_microseconds(KEEPING);
        tell(IMAGED, Event::Kept);
    }
}

/// imaged, an adaptive daemon.
pub(super) fn imaged() {
    let [scale, store] = ["scale", "store"].map(Queue::new);
    let service = Thumbnails { work: Work::measured(), scale, store, decoder: connect(DECODER) };
    let listener = serve(THUMBNAILS, move |request| service.clone().handle(request));
    report::hello(IMAGED);
    let _ = &listener;
    dispatch_main();
}

/// codecd, an adaptive daemon: it decodes pictures on a queue of its own.
pub(super) fn codecd() {
    let (work, queue) = (Work::measured(), Queue::new("decode"));
    let listener = serve(DECODER, move |request| {
        tell(CODECD, Event::Decodes);
        queue.run_async(move || {
            tell(CODECD, Event::Works);
            work.for_microseconds(DECODING);
            let Some(mut reply) = request.create_reply() else { return };
            reply.set_int64("size", 21);
            reply.send();
            tell(CODECD, Event::Replied);
        });
    });
    report::hello(CODECD);
    let _ = &listener;
    dispatch_main();
}
