"""OpenAI's own client, unmodified, against Lectern: openai_client.py BASE TOKEN."""

import io
import json
import sys
import tempfile
import time
import urllib.request
import wave
from pathlib import Path

import openai

BASE, TOKEN = sys.argv[1:3]
TEXT = (
    "Mitochondria release energy from glucose by respiration. "
    "The nucleus holds the chromosomes of the cell. "
    "Ribosomes build proteins from amino acids."
)


def contract(path, body=None, kind="application/json"):
    """A route of the contract's."""
    request = urllib.request.Request(BASE + path, data=body, headers={
        "authorization": f"Bearer {TOKEN}", "content-type": kind,
    })
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def uploaded():
    form = (
        '--b\r\ncontent-disposition: form-data; name="file"; filename="cells.txt"\r\n\r\n'
        f"{TEXT}\r\n--b--\r\n"
    )
    made = contract("/upload", form.encode(), "multipart/form-data; boundary=b")
    document = made["document_id"]
    for _ in range(300):
        if contract(f"/document/{document}")["status"] != "processing":
            return document
        time.sleep(0.1)
    raise SystemExit("the document is not read")


def tone():
    """Two seconds that are not silent."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(b"".join(
            int(12_000 * ((at % 40) / 20 - 1)).to_bytes(2, "little", signed=True) for at in range(32_000)
        ))
    return file.getvalue()


def check(what, held):
    print(f"openai: {'ok  ' if held else 'FAIL'} {what}")
    if not held:
        raise SystemExit(1)


client = openai.OpenAI(base_url=f"{BASE}/v1", api_key=TOKEN)

models = [model.id for model in client.models.list()]
check(f"models: {models}", "lectern" in models)
check("one model", client.models.retrieve("lectern").id == "lectern")

document = uploaded()
question = dict(
    model="lectern",
    messages=[{"role": "user", "content": "What do mitochondria do?"}],
    metadata={"document_ids": json.dumps([document])},
)
whole = client.chat.completions.create(**question).choices[0]
check(f"an answer: {whole.message.content}", "energy" in whole.message.content)
check("with its quotes", whole.message.citations[0]["document_id"] == document)

told, last = "", None
for chunk in client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **question):
    for choice in chunk.choices:
        told += choice.delta.content or ""
        if choice.finish_reason:
            last = chunk
    usage = chunk.usage
check("the same answer streamed", told == whole.message.content)
check("its last chunk has the quotes", last.citations[0]["quote"])
check(f"its length: {usage.total_tokens}", usage.total_tokens > 0)

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "speech.mp3")
    speech = client.audio.speech.with_streaming_response
    with speech.create(model="tts-1", voice="alloy", input="Hello, learner.") as spoken:
        spoken.stream_to_file(file)
    check(f"speech: {file.stat().st_size} bytes", file.stat().st_size > 2_000)

recording = ("tone.wav", tone())
srt = client.audio.transcriptions.create(model="whisper-1", file=recording, response_format="srt")
check(f"subtitles: {srt.splitlines()[:3]}", srt.startswith("1\n00:00:00,100 --> "))
verbose = client.audio.transcriptions.create(
    model="whisper-1", file=recording, response_format="verbose_json", timestamp_granularities=["word", "segment"]
)
check(f"words: {[word.word for word in verbose.words]}", verbose.segments[0].text == "Cells divide.")
check("plain", client.audio.transcriptions.create(model="whisper-1", file=recording).text == "Cells divide.")

for error, ask in [
    (openai.AuthenticationError, lambda: client.with_options(api_key="none").models.list()),
    (openai.NotFoundError, lambda: client.chat.completions.create(**{**question, "model": "gpt-5"})),
    (openai.BadRequestError, lambda: client.audio.speech.create(
        model="tts-1", voice="alloy", input="Hello.", response_format="opus")),
]:
    try:
        ask()
        check(error.__name__, False)
    except error as told:
        check(f"{error.__name__}: {told.body['message']}", True)
