//! Why a study or an image is left out of an import.

/// One reason; the texts and patients of what is left out appear nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The sections asked for are not there, empty, or hold a word for a missing value such as "nan".
    NoText,
    /// Removing de-identification marks left nothing.
    OnlyMarks,
    /// The report names no image.
    NoImageNamed,
    /// The image is not among those of the corpus.
    MissingImage,
    /// Not one of the views asked for.
    OtherView,
    /// The view is not stated, and only some views were asked for.
    UnknownView,
    /// A report that the list names is not there.
    MissingReport,
    /// A report or image that cannot be read.
    Unreadable,
    /// The sections of this study are named by hand in the official list, and not by its headers.
    HandCorrected,
    /// A label that the corpus's description does not have.
    UnknownLabel,
    /// "No Finding" beside a finding.
    Contradiction,
    /// In none of the official lists.
    InNoList,
    /// The `split` cell names no part.
    UnknownPart,
    /// A cell that is needed is empty, or the row is too short for it.
    EmptyCell,
    /// More or fewer cells than the header.
    Cells,
    /// Quotes that do not pair up: a cell may hold what is not its own.
    Quotes,
    /// Not UTF-8.
    NotUtf8,
    /// Not a path inside the images.
    BadPath,
    /// The id is that of an earlier row.
    RepeatedId,
    /// A row of a data set that training could not use either.
    Unusable,
}

impl Reason {
    /// What it is called in the report, with the count before it.
    pub fn title(self) -> &'static str {
        match self {
            Self::NoText => "without the text asked for",
            Self::OnlyMarks => "with nothing but de-identification marks",
            Self::NoImageNamed => "reports that name no image",
            Self::MissingImage => "images that are not there",
            Self::OtherView => "images of another view",
            Self::UnknownView => "images whose view is not stated",
            Self::MissingReport => "reports that are not there",
            Self::Unreadable => "files that cannot be read",
            Self::HandCorrected => "studies whose sections are set by hand in the official list",
            Self::UnknownLabel => "rows with an unknown label",
            Self::Contradiction => "rows with \"No Finding\" beside a finding",
            Self::InNoList => "images in none of the official lists",
            Self::UnknownPart => "rows whose split is neither train, validation nor test",
            Self::EmptyCell => "rows with an empty or missing cell",
            Self::Cells => "rows with more or fewer cells than the header",
            Self::Quotes => "rows with quotes that do not pair up",
            Self::NotUtf8 => "rows or reports that are not UTF-8",
            Self::BadPath => "rows whose image is no path inside the image folder",
            Self::RepeatedId => "rows that repeat the image of an earlier row",
            Self::Unusable => "rows that no training could use",
        }
    }

    /// What can be done about it, where something can.
    pub fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::NoText => "--sections says which sections make the text",
            Self::OnlyMarks => "--marks keep keeps them",
            Self::MissingImage => "check that all parts of the corpus are there, and --images where the command has it",
            Self::OtherView | Self::UnknownView => "--views all takes every image",
            Self::MissingReport | Self::Unreadable => "fetch or unpack these files again",
            Self::HandCorrected => "--sections both or selected takes them",
            Self::Cells => "a text that holds the delimiter stands in double quotes",
            Self::Quotes => "a quoted text starts right after the delimiter; write a quote inside it twice: \"\"",
            Self::NotUtf8 => "save the file as UTF-8",
            Self::BadPath => "--images names the folder that the paths are in",
            Self::RepeatedId => "one row per image is kept, the first; the extension does not tell images apart",
            Self::Unusable => "xreport-train dataset validate says what is wrong with each data set",
            Self::NoImageNamed
            | Self::UnknownLabel
            | Self::Contradiction
            | Self::InNoList
            | Self::UnknownPart
            | Self::EmptyCell => return None,
        })
    }
}
