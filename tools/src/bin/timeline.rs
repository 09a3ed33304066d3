//! Makes a timeline of a stream of events: `timeline EVENTS OUT TITLE` writes `OUT.pftrace` and `OUT.html`.

use abi::event::EventRecord;
use std::process::ExitCode;
use std::{env, fs};
use tools::timeline::model::Timeline;
use tools::timeline::{page, perfetto, record};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [events, out, title] = &arguments[..] else {
        eprintln!("usage: timeline EVENTS OUT TITLE");
        return ExitCode::from(64);
    };
    match make(events, out, title) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(line) => {
            eprintln!("timeline: {line}");
            ExitCode::FAILURE
        }
    }
}

/// Writes both files and returns a line about them.
fn make(events: &str, out: &str, title: &str) -> Result<String, String> {
    let stream = fs::read(events).map_err(|error| format!("{events}: {error}"))?;
    // A machine that was stopped may have written a part of an event.
    let whole = stream.len() - stream.len() % size_of::<EventRecord>();
    let records = record::decode(&stream[..whole]).expect("whole events");
    if records.is_empty() {
        return Err("the machine recorded no events: it stopped before its first program began".to_owned());
    }
    let timeline = Timeline::of(&records);
    let write =
        |name: String, contents: Vec<u8>| fs::write(&name, contents).map_err(|error| format!("{name}: {error}"));
    write(format!("{out}.pftrace"), perfetto::encode(&timeline, &records))?;
    write(format!("{out}.html"), page::render(&timeline, title).into_bytes())?;
    let (count, messages, vouchers) = (records.len(), timeline.messages.len(), timeline.vouchers.len());
    let lost = if timeline.lost > 0 { format!(", {} lost", timeline.lost) } else { String::new() };
    Ok(format!(
        "{count} events{lost}: {messages} messages, {vouchers} vouchers, {} changes of boosts\n\
         {out}.html     for a browser; it needs no network\n\
         {out}.pftrace  for https://ui.perfetto.dev (“Open trace file”)",
        timeline.boosts.len()
    ))
}
