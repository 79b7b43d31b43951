"""Runs ONNX Runtime behind a pipe.

It takes the same commands as shared/embedder/examples/local_embedder.rs, so that one driver times
both.

usage: onnx_reference.py MODEL_FOLDER THREADS

Both sides time the tokenizer, which is the same library. Each batch is padded to its longest text.
"""
import json
import sys
import time

import numpy
import onnxruntime
from tokenizers import Tokenizer


class Reference:
    def __init__(self, folder, threads):
        self.tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        onnxruntime.set_default_logger_severity(3)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self.session = onnxruntime.InferenceSession(f"{folder}/model.onnx", options, providers=["CPUExecutionProvider"])

    def tokens(self, texts):
        return [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]

    def embed(self, texts):
        rows = self.tokens(texts)
        shape = len(rows), max(map(len, rows))
        ids, mask = numpy.zeros(shape, numpy.int64), numpy.zeros(shape, numpy.int64)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
            mask[place, : len(row)] = 1
        return self.session.run(["sentence_embedding"], {"input_ids": ids, "attention_mask": mask})[0]

    def answer(self, command):
        texts = json.load(open(command["texts"]))
        batches = [texts[start : start + command["batch"]] for start in range(0, len(texts), command["batch"])]
        begin = time.perf_counter()
        vectors = [self.embed(batch) for batch in batches]
        seconds = time.perf_counter() - begin
        if command.get("vectors"):
            numpy.concatenate(vectors).astype("<f4").tofile(command["vectors"])
        return {"seconds": seconds}


def main():
    reference = Reference(sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin:
        print(json.dumps(reference.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
