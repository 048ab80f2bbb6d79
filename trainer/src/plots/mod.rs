//! Pictures of a training as SVG text: how it went ([`curve`]) and what was trained
//! ([`architecture`]).
//!
//! Every picture is one self-contained SVG on a white card, so that it reads the same on a light
//! and on a dark page, in a browser, in a Markdown file and in print. It holds no script, no
//! style sheet and no ids: several can stand in one HTML page. The pictures of [`chart`] are made for such a page: they
//! have no card and take the page's colours.

pub mod architecture;
pub mod chart;
pub mod curve;
pub mod numbers;
pub mod reliability;
pub mod svg;

mod axis;
mod series;
