//! Some of Polly's voices, as <https://docs.aws.amazon.com/polly/latest/dg/available-voices.html>
//! had them in 2026.

use serde_json::{Value, json};

pub(super) struct Voice {
    pub(super) id: &'static str,
    name: &'static str,
    gender: &'static str,
    pub(super) language: &'static str,
    also: &'static [&'static str],
    pub(super) engines: &'static [&'static str],
}

impl Voice {
    pub(super) fn json(&self) -> Value {
        json!({
            "Id": self.id,
            "Name": self.name,
            "Gender": self.gender,
            "LanguageCode": self.language,
            "LanguageName": self.language,
            "AdditionalLanguageCodes": self.also,
            "SupportedEngines": self.engines,
        })
    }
}

const fn voice(
    id: &'static str,
    gender: &'static str,
    language: &'static str,
    engines: &'static [&'static str],
) -> Voice {
    Voice {
        id,
        name: id,
        gender,
        language,
        also: &[],
        engines,
    }
}

const fn accented(name: &'static str, voice: Voice) -> Voice {
    Voice { name, ..voice }
}

const F: &str = "Female";
const M: &str = "Male";
// As AWS lists them: in no order of quality.
const S: &[&str] = &["standard"];
const N: &[&str] = &["neural"];
const NS: &[&str] = &["neural", "standard"];
const GNS: &[&str] = &["generative", "neural", "standard"];
const GN: &[&str] = &["generative", "neural"];
const GLN: &[&str] = &["long-form", "generative", "neural"];
const LN: &[&str] = &["long-form", "neural"];
const L: &[&str] = &["long-form"];

pub(super) const VOICES: &[Voice] = &[
    voice("Joanna", F, "en-US", GNS),
    voice("Matthew", M, "en-US", GNS),
    voice("Joey", M, "en-US", NS),
    voice("Salli", F, "en-US", GNS),
    voice("Ivy", F, "en-US", NS),
    voice("Justin", M, "en-US", NS),
    voice("Kendra", F, "en-US", NS),
    voice("Kimberly", F, "en-US", NS),
    voice("Kevin", M, "en-US", N),
    voice("Ruth", F, "en-US", GLN),
    voice("Stephen", M, "en-US", GN),
    voice("Danielle", F, "en-US", GLN),
    voice("Gregory", M, "en-US", LN),
    voice("Patrick", M, "en-US", L),
    voice("Amy", F, "en-GB", GNS),
    voice("Brian", M, "en-GB", GNS),
    voice("Emma", F, "en-GB", NS),
    voice("Arthur", M, "en-GB", N),
    voice("Geraint", M, "en-GB-WLS", S),
    voice("Olivia", F, "en-AU", GN),
    voice("Nicole", F, "en-AU", S),
    voice("Russell", M, "en-AU", S),
    Voice {
        also: &["hi-IN"],
        ..voice("Aditi", F, "en-IN", S)
    },
    voice("Vicki", F, "de-DE", GNS),
    voice("Marlene", F, "de-DE", S),
    voice("Hans", M, "de-DE", S),
    voice("Daniel", M, "de-DE", GN),
    accented("Léa", voice("Lea", F, "fr-FR", GNS)),
    accented("Céline", voice("Celine", F, "fr-FR", S)),
    voice("Mathieu", M, "fr-FR", S),
    accented("Rémi", voice("Remi", M, "fr-FR", GN)),
    accented("Lucía", voice("Lucia", F, "es-ES", GNS)),
    voice("Enrique", M, "es-ES", S),
    voice("Lupe", F, "es-US", GNS),
    voice("Bianca", F, "it-IT", GNS),
    voice("Giorgio", M, "it-IT", S),
    voice("Camila", F, "pt-BR", GNS),
    voice("Takumi", M, "ja-JP", NS),
    voice("Mizuki", F, "ja-JP", S),
    voice("Seoyeon", F, "ko-KR", GNS),
    voice("Zhiyu", F, "cmn-CN", NS),
    voice("Tatyana", F, "ru-RU", S),
    voice("Maxim", M, "ru-RU", S),
    voice("Astrid", F, "sv-SE", S),
];
