//! A timeline as one HTML page, which needs no network.

use super::model::Timeline;

/// The page, with a place for the data.
const TEMPLATE: &str = include_str!("page.html");
/// The place.
const PLACE: &str = "/*DATA*/null";

/// Returns the page of a timeline.
pub fn render(timeline: &Timeline, title: &str) -> String {
    let data = serde_json::to_string(timeline).expect("a timeline has strings and numbers only");
    // A name of a program could end the script otherwise.
    let data = data.replace('<', "\\u003c");
    let title: String = title.chars().filter(|c| c.is_alphanumeric() || " .,-_/()".contains(*c)).collect();
    TEMPLATE.replace("<!--TITLE-->", &title).replacen(PLACE, &data, 1)
}
