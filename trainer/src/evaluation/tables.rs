//! An evaluation's figures as the tables of its page.

use super::baselines::{Baselines, Figure, Lead};
use super::page::{Figure as PageFigure, ObservationScore, Table, TableRow, Tone, Verdict};
use super::{Evaluation, Measured};
use crate::observations::{Share, Uncertain};
use crate::phantoms::Scores;
use crate::plots::reliability::reliability;

/// The model beside what needs no model.
pub(super) fn systems(evaluation: &Evaluation) -> Table {
    let baselines = &evaluation.baselines;
    let figures = baselines.systems.first().map_or(&[][..], |model| &model.figures);
    let columns = figures.iter().map(|figure| figure.measure.heading().to_owned());
    let rows = baselines.systems.iter().enumerate().map(|(index, system)| TableRow {
        name: sentence_case(&system.name),
        note: system.note.clone(),
        cells: system
            .figures
            .iter()
            .map(|figure| format!("{:.3}", figure.value))
            .chain([system.distinct_reports.to_string()])
            .collect(),
        emphasised: index == 0,
    });
    Table {
        title: "The model and reports that need no model".into(),
        note: format!(
            "Observations are read from the texts and held against the reference's, uncertain as positive; words under the \
             treatment {}. Baselines from {}: {} reports.",
            baselines.text, baselines.training, baselines.training_reports
        ),
        columns: columns.chain(["Different reports".to_owned()]).collect(),
        rows: rows.collect(),
    }
}

/// How far the model is ahead of each baseline.
pub(super) fn leads(evaluation: &Evaluation) -> Table {
    let baselines = &evaluation.baselines;
    let figures = baselines.systems.first().map_or(&[][..], |model| &model.figures);
    let cell = |figure: &Figure| {
        let lead = figure.lead.as_ref();
        lead.map_or_else(String::new, |Lead { difference, interval }| {
            format!("{difference:+.3} ({:+.3} to {:+.3})", interval.low, interval.high)
        })
    };
    let rows = baselines.systems.iter().skip(1).map(|system| TableRow {
        name: sentence_case(&system.name),
        note: String::new(),
        cells: system.figures.iter().map(cell).collect(),
        emphasised: false,
    });
    Table {
        title: "The model's lead".into(),
        note: format!(
            "With its 95 % interval (paired bootstrap over {} patients). An interval that holds 0 is no lead.",
            baselines.patients
        ),
        columns: figures.iter().map(|figure| figure.measure.heading().to_owned()).collect(),
        rows: rows.collect(),
    }
}

/// What the drafts say of the question that was asked, and what reports without a model say.
pub(super) fn statement(evaluation: &Evaluation) -> Option<Table> {
    let statement = evaluation.statement.as_ref()?;
    let measured = |found: Option<Measured>| {
        found.map_or_else(String::new, |Measured { value, interval }| {
            format!("{value:.3} ({:.3} to {:.3})", interval.low, interval.high)
        })
    };
    let value = |found: Option<Measured>| found.map_or_else(String::new, |found| format!("{:.3}", found.value));
    let rows = statement.groups.iter().enumerate().map(|(index, group)| TableRow {
        name: sentence_case(&group.name),
        note: format!("{} studies, {} affirmed", group.studies, group.affirmed),
        cells: vec![
            measured(group.model.area),
            measured(Some(group.model.accuracy)),
            measured(group.model.balanced),
            value(group.model.sensitivity),
            value(group.model.specificity),
            value(group.nearest.balanced),
            format!("{:.3}", group.constant.accuracy.value),
            format!("{:.3}", group.random_accuracy),
        ],
        emphasised: index == 0,
    });
    let mask = evaluation.mask.map_or_else(String::new, |mask| format!(" In every image, {}.", mask.name()));
    Some(Table {
        title: format!("“{}”: affirmed or denied", statement.words),
        note: format!(
            "With 95 % intervals (bootstrap by patient). Area under the ROC curve: by the probability of the words. \
             Beside the model: the nearest training image's report (balanced accuracy), the answer that most training \
             reports give and a training report drawn at random (accuracy). A model that tells groups apart and nothing \
             else has an area of 0.5 in each.{mask}"
        ),
        columns: ["Area", "Accuracy", "Balanced", "Sensitivity", "Specificity", "Nearest", "Most usual", "At random"]
            .map(String::from)
            .to_vec(),
        rows: rows.collect(),
    })
}

/// Claims against what was drawn, where that is known.
pub(super) fn claims(evaluation: &Evaluation) -> Option<Table> {
    let results = evaluation.observations.as_ref()?;
    let row = |name: &str, note: &str, scores: &Scores, distinct: String, emphasised| TableRow {
        name: name.to_owned(),
        note: note.to_owned(),
        cells: vec![
            format!("{:.3}", scores.micro.f1),
            format!("{:.3}", scores.micro.precision),
            format!("{:.3}", scores.micro.recall),
            scores.laterality.accuracy.map_or_else(String::new, |share| format!("{share:.3}")),
            distinct,
        ],
        emphasised,
    };
    let distinct = evaluation.distinct_reports.to_string();
    Some(Table {
        title: "Claims against what was drawn".into(),
        note: "An observation counts when kind, side, size and zone are right. Side: of the findings drawn on one side and reported with a side, the share on the right one.".into(),
        columns: ["F1", "Precision", "Recall", "Side", "Different reports"].map(String::from).to_vec(),
        rows: vec![
            row("Model", "", &results.model, distinct.clone(), true),
            row(
                "Best constant report",
                "one text for every image, chosen on these very references",
                &results.best_constant.scores,
                "1".into(),
                false,
            ),
            row("Shuffled images", "each draft held against another image", &results.shuffled, distinct, false),
            row("Reference reports", "the reader of texts itself", &results.references, String::new(), false),
        ],
    })
}

/// The verdict where no drawn truth is known: what the leads on observations say.
pub(super) fn plain_verdict(baselines: &Baselines) -> Verdict {
    let beaten = baselines.verdict.iter().filter(|said| said.beats).count();
    let all = baselines.verdict.len();
    let (tone, headline) = if beaten == all {
        (Tone::Good, "The model beats every report that needs no model.")
    } else if beaten == 0 {
        (Tone::Bad, "The model beats none of the reports that need no model: it has not learned to look.")
    } else {
        (Tone::Mixed, "The model beats some of the reports that need no model, and not others.")
    };
    let detail = baselines.verdict.iter().map(|said| said.sentence.as_str()).collect::<Vec<_>>().join(" ");
    Verdict { tone, headline: headline.to_owned(), detail }
}

pub(super) fn token_table(evaluation: &Evaluation) -> Table {
    Table {
        title: "Words, teacher-forced".into(),
        note: "Each word predicted from the image and the reference's words before it.".into(),
        columns: ["Token accuracy", "Perplexity", "Loss (nats)", "Tokens", "Reports word for word"]
            .map(String::from)
            .to_vec(),
        rows: vec![TableRow {
            name: "Model".into(),
            note: String::new(),
            cells: vec![
                format!("{:.3}", evaluation.tokens.accuracy),
                format!("{:.2}", evaluation.tokens.perplexity),
                format!("{:.3}", evaluation.tokens.loss),
                evaluation.tokens.tokens.to_string(),
                format!("{} of {}", evaluation.exact_reports, evaluation.studies),
            ],
            emphasised: false,
        }],
    }
}

/// Word overlap under each text treatment.
pub(super) fn words(evaluation: &Evaluation) -> Table {
    let rows = evaluation.text.iter().map(|text| TableRow {
        name: text.text.to_string(),
        note: String::new(),
        cells: text
            .corpus
            .bleu
            .iter()
            .chain([&text.corpus.rouge_l, &text.corpus.cider_d])
            .map(|value| format!("{value:.3}"))
            .chain([format!("{:.3}", text.generated.repeat_rate)])
            .collect(),
        emphasised: false,
    });
    Table {
        title: "Word overlap, by text treatment".into(),
        note:
            "Figures under different treatments are not comparable, nor with published ones that cut their references. \
               Repeats: share of a draft's 4-grams that stood in it before."
                .into(),
        columns: ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D", "Repeats"].map(String::from).to_vec(),
        rows: rows.collect(),
    }
}

/// Observations under both conventions, and sides and sizes.
pub(super) fn agreement(evaluation: &Evaluation) -> Table {
    let agreement = &evaluation.agreement;
    let rows = Uncertain::ALL.into_iter().map(|uncertain| {
        let scores = agreement.under(uncertain);
        let share = |share: Share| share.share().map_or_else(String::new, |value| format!("{value:.3}"));
        TableRow {
            name: sentence_case(uncertain.name()),
            note: String::new(),
            cells: [scores.micro_14.f1, scores.macro_14, scores.micro_5.f1, scores.macro_5]
                .map(|value| format!("{value:.3}"))
                .into_iter()
                .chain([share(agreement.side), share(agreement.size), share(agreement.measure)])
                .collect(),
            emphasised: false,
        }
    });
    Table {
        title: "Observations read from both texts".into(),
        note: "Macro: mean over the observations that either text names. Side, size and measure: of the findings that both \
               texts state with one, the share that agree."
            .into(),
        columns: ["Micro 14", "Macro 14", "Micro 5", "Macro 5", "Side", "Size", "Measure"].map(String::from).to_vec(),
        rows: rows.collect(),
    }
}

pub(super) fn bars(scores: &Scores) -> Vec<ObservationScore> {
    scores
        .by_kind
        .iter()
        .map(|(kind, rates)| ObservationScore {
            name: kind.word().replace('_', " "),
            precision: (rates.claims > 0).then_some(rates.precision),
            recall: (rates.support > 0).then_some(rates.recall),
            f1: (rates.support + rates.claims > 0).then_some(rates.f1),
            support: rates.support,
        })
        .collect()
}

pub(super) fn label_bars(evaluation: &Evaluation) -> Vec<ObservationScore> {
    let classes = &evaluation.agreement.under(Uncertain::Positive).classes;
    let bars = classes.iter().map(|class| {
        let rates = &class.rates;
        let claims = rates.true_positives + rates.false_positives;
        ObservationScore {
            name: class.observation.name().to_owned(),
            precision: (claims > 0).then_some(rates.precision),
            recall: (rates.support > 0).then_some(rates.recall),
            f1: (rates.support + claims > 0).then_some(rates.f1),
            support: rates.support,
        }
    });
    bars.filter(|bar| bar.f1.is_some()).collect()
}

pub(super) fn reliability_plot(evaluation: &Evaluation) -> PageFigure {
    let calibration = &evaluation.calibration;
    let bins: Vec<(f64, f64, usize)> =
        calibration.bins.iter().map(|bin| (bin.confidence, bin.right, bin.reports)).collect();
    let area = calibration.area.map_or_else(String::new, |area| {
        format!(": a right report is more confident than a wrong one in {:.0} % of pairs", area * 100.0)
    });
    PageFigure { title: format!("Does it know when it is wrong?{area}"), svg: reliability(&bins) }
}

fn sentence_case(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
