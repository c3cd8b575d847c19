"""Print where each word of a question looks: the attention of its tokens to the regions of an image.

    python examples/attention_maps.py

The maps are those of `output_attentions=True`, averaged over layers and heads. A row sums to one.
Needs: pip install -e ".[pt,data]".
"""

import torch
from PIL import Image, ImageDraw

from lxmert import VisualQuestionAnswering
from lxmert.vision.shapes.regions import image_regions

QUESTION = "what color is the triangle?"


def draw_image() -> Image.Image:
    """Draw a blue rectangle and a green triangle."""
    image = Image.new("RGB", (96, 64), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((8, 16, 36, 48), fill="blue")
    draw.polygon(((70, 12), (52, 50), (88, 50)), fill="lime")
    return image


def main() -> None:
    """Run the model with `output_attentions`, and print the language-to-vision attention."""
    ask = VisualQuestionAnswering.from_pretrained("easy-vqa", backend="pt")
    features, boxes = image_regions(draw_image())  # [R, F] and [R, 4]; region 0 is the whole image
    text = ask.tokenizer(QUESTION, return_tensors="pt")
    with torch.no_grad():
        output = ask.model(
            **text,
            visual_feats=torch.from_numpy(features)[None],
            visual_pos=torch.from_numpy(boxes)[None],
            output_attentions="all",
        )
    # One map for each cross layer, [batch, heads, tokens, regions].
    maps = torch.stack(output.cross_encoder_attentions).mean(dim=(0, 2))[0]
    answer = ask.answers[int(output.question_answering_score.argmax())]
    print(f"{QUESTION} {answer}")
    print(f"{'':12}", *(f"region {number}" for number in range(len(boxes))), sep="  ")
    for token, row in zip(ask.tokenizer.convert_ids_to_tokens(text["input_ids"][0].tolist()), maps, strict=True):
        print(f"{token:12}", *(f"{weight:8.2f}" for weight in row.tolist()), sep="  ")
    print("maps of this run:", ", ".join(name for name in output if name.endswith("attentions")))


if __name__ == "__main__":
    main()
