"""The group ``analytic``: how often each user played a video, in the table ``video_plays``."""
